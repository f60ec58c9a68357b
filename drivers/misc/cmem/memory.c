// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks if a range of memory may become a block.
 *
 * A device tree for a larger board, or a command line for another one, can name memory
 * that this machine does not have. The first access to it is an abort that crashes the
 * kernel. So something must vouch for the memory. RAM is what the kernel has, or had
 * before mem= or memmap= removed it: the device tree's /memory nodes or the firmware's
 * map still list it. An mmio-sram node, even a disabled one, vouches for on-chip memory.
 * An enabled BAR vouches for memory of a PCI device. For other memory, the user must
 * vouch. Memory that is not RAM may need a clock or a link, or may not exist after all,
 * so nothing accesses it before it is allocated.
 *
 * The memory must also be free. Neither the page allocator nor data from the boot loader
 * may use it, and unless it was reserved for CMEM, neither firmware nor another driver.
 *
 * This file reads /proc/iomem, memblock, struct pages, the device tree and the
 * firmware's maps. It changes nothing, and accesses no memory of a block.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/efi.h>
#include <linux/init.h>
#include <linux/initrd.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/libfdt.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_fdt.h>
#include <linux/page-flags.h>
#include <linux/page_ref.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/sizes.h>

#include <asm/sections.h>
#ifdef CONFIG_X86
#include <asm/e820/api.h>
#endif

#include "config.h"
#include "memory.h"

static phys_addr_t cmem_initrd_start, cmem_initrd_end;

/* Run before a thread unpacks the initrd: the kernel then forgets its address. */
static int __init cmem_memory_note_initrd(void)
{
	if (!IS_ENABLED(CONFIG_BLK_DEV_INITRD) || !initrd_start)
		return 0;

	cmem_initrd_start = __pa(initrd_start);
	cmem_initrd_end = __pa(initrd_end - 1) + 1;
	return 0;
}
core_initcall(cmem_memory_note_initrd);

/*
 * A reserved region can overlap memory that was in use and reserved before: the
 * kernel's image, the initial RAM disk and the device tree. (32-bit arm does not
 * keep the physical address of the device tree.)
 */
static const char *cmem_memory_used_by(const struct cmem_block_config *config)
{
	phys_addr_t last = config->base + config->length - 1;

	if (config->base < __pa_symbol(_end) && last >= __pa_symbol(_text))
		return "the kernel";
#if defined(CONFIG_ARM64) && defined(CONFIG_OF_EARLY_FLATTREE)
	if (initial_boot_params &&
	    config->base < initial_boot_params_pa +
			   fdt_totalsize(initial_boot_params) &&
	    last >= initial_boot_params_pa)
		return "the device tree";
#endif
	if (config->base < cmem_initrd_end && last >= cmem_initrd_start)
		return "the initial RAM disk";
	return NULL;
}

/**
 * struct cmem_cover - how far ranges of memory cover another range
 * @end: end of the bytes that are covered, from the start of the search
 * @next: start of the first range that leaves a gap after @end
 */
struct cmem_cover {
	u64 end;
	u64 next;
};

/* Add a range of memory from any source. */
static void cmem_cover_add(struct cmem_cover *cover, u64 start, u64 end)
{
	if (end <= cover->end)
		return;
	if (start <= cover->end)
		cover->end = end;
	else
		cover->next = min(cover->next, start);
}

static int cmem_cover_add_pages(unsigned long pfn, unsigned long pages, void *arg)
{
	cmem_cover_add(arg, (u64)pfn << PAGE_SHIFT,
		       (u64)(pfn + pages) << PAGE_SHIFT);
	return 0;
}

/* Add System RAM, reserved or not. */
static void cmem_cover_add_system_ram(struct cmem_cover *cover,
				      const struct cmem_block_config *config)
{
	unsigned long first = PHYS_PFN(config->base);
	unsigned long last = PHYS_PFN(config->base + config->length - 1);

	walk_system_ram_range(first, last - first + 1, cover,
			      cmem_cover_add_pages);
}

/* Add all memory that the kernel knows, including what no-map removes from System RAM. */
static void cmem_cover_add_known(struct cmem_cover *cover,
				 const struct cmem_block_config *config)
{
	cmem_cover_add_system_ram(cover, config);
#ifdef CONFIG_ARCH_KEEP_MEMBLOCK
	struct memblock_region *region;

	for_each_mem_region(region)
		cmem_cover_add(cover, region->base,
			       (u64)region->base + region->size);
#endif
}

/* Add all of a node's reg. */
static void cmem_cover_add_node(struct cmem_cover *cover,
				struct device_node *node)
{
	struct resource res;
	int i;

	for (i = 0; !of_address_to_resource(node, i, &res); i++)
		cmem_cover_add(cover, res.start, (u64)res.end + 1);
}

/*
 * Add RAM that the firmware or the boot loader reported, before the kernel command line
 * changed it. With EFI, the device tree does not describe RAM.
 */
#ifdef CONFIG_X86
static void cmem_cover_add_firmware(struct cmem_cover *cover)
{
	const struct e820_table *table = e820_table_firmware;
	u32 i;

	for (i = 0; i < table->nr_entries; i++)
		if (table->entries[i].type == E820_TYPE_RAM)
			cmem_cover_add(cover, table->entries[i].addr,
				       table->entries[i].addr +
				       table->entries[i].size);
}
#else
/* Add the types of EFI memory that a booting kernel may use. */
static bool cmem_cover_add_efi(struct cmem_cover *cover)
{
	efi_memory_desc_t *md;

	if (!efi_enabled(EFI_MEMMAP))
		return false;
	for_each_efi_memory_desc(md) {
		switch (md->type) {
		case EFI_LOADER_CODE:
		case EFI_LOADER_DATA:
		case EFI_BOOT_SERVICES_CODE:
		case EFI_BOOT_SERVICES_DATA:
		case EFI_CONVENTIONAL_MEMORY:
			if (md->attribute & EFI_MEMORY_WB)
				cmem_cover_add(cover, md->phys_addr,
					       md->phys_addr +
					       (md->num_pages << EFI_PAGE_SHIFT));
		}
	}
	return true;
}

static void cmem_cover_add_firmware(struct cmem_cover *cover)
{
	struct device_node *node;

	if (cmem_cover_add_efi(cover))
		return;
	for_each_node_by_type(node, "memory")
		if (of_device_is_available(node))
			cmem_cover_add_node(cover, node);
}
#endif

static void cmem_cover_add_ram(struct cmem_cover *cover,
			       const struct cmem_block_config *config)
{
	cmem_cover_add_known(cover, config);
	cmem_cover_add_firmware(cover);
}

static void cmem_cover_add_bars(struct cmem_cover *cover)
{
	struct pci_dev *pdev = NULL;
	u16 command;
	int i;

	for_each_pci_dev(pdev) {
		if (pci_read_config_word(pdev, PCI_COMMAND, &command) ||
		    PCI_POSSIBLE_ERROR(command) ||
		    !(command & PCI_COMMAND_MEMORY))
			continue;
		for (i = 0; i < PCI_STD_NUM_BARS; i++)
			if (pci_resource_flags(pdev, i) & IORESOURCE_MEM &&
			    pci_resource_len(pdev, i))
				cmem_cover_add(cover, pci_resource_start(pdev, i),
					       (u64)pci_resource_end(pdev, i) + 1);
	}
}

static void cmem_cover_add_all(struct cmem_cover *cover,
			       const struct cmem_block_config *config)
{
	struct device_node *node;

	cmem_cover_add_ram(cover, config);
	for_each_compatible_node(node, NULL, "mmio-sram")
		cmem_cover_add_node(cover, node);
	cmem_cover_add_bars(cover);
}

/* Count the bytes of a range that other ranges, in any order, cover at least once. */
static u64 cmem_memory_covered(const struct cmem_block_config *config,
			       void (*add)(struct cmem_cover *cover,
					   const struct cmem_block_config *config))
{
	u64 start = config->base, limit = start + config->length, bytes = 0;
	struct cmem_cover cover = { .end = start };

	while (cover.end < limit) {
		u64 before = cover.end;

		cover.next = limit;
		add(&cover, config);
		if (cover.end != before)
			continue;
		bytes += cover.end - start;
		start = cover.next;
		cover.end = start;
	}
	return bytes + limit - start;
}

/* Check that something vouches for the memory, and set @config->is_ram. */
static int cmem_memory_check_vouched(struct device *dev,
				     struct cmem_block_config *config)
{
	u64 bytes;

	/* The SRAM's driver vouches for it. */
	config->is_ram = false;
	if (config->kind == CMEM_KIND_SRAM)
		return 0;
	if (cmem_memory_covered(config, cmem_cover_add_ram) == config->length) {
		config->is_ram = true;
		return 0;
	}
	if (config->is_memory)
		return 0;
	bytes = cmem_memory_covered(config, cmem_cover_add_all);
	if (bytes == config->length)
		return 0;

	dev_err(dev, "block %d: nothing says that %#llx of %#llx bytes at %pa are memory: no /memory node or memory map of the firmware, mmio-sram node or enabled PCI BAR has them. Is this another board, or one with less memory? If it is memory, ti,is-memory in the block's node, cmem.is_memory=1 or cmemctl load is_memory=1 says so\n",
		config->id, config->length - bytes, config->length,
		&config->base);
	return -ENXIO;
}

/**
 * cmem_memory_next_page - skip memory without struct pages
 * @pfn: page frame number of a page without a struct page
 *
 * Return: the next page frame number that may have a struct page, or ULONG_MAX.
 */
unsigned long cmem_memory_next_page(unsigned long pfn)
{
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_HAVE_ARCH_PFN_VALID)
	if (!pfn_in_present_section(pfn))
		return ALIGN_DOWN(pfn, PAGES_PER_SECTION) + PAGES_PER_SECTION;
	return ALIGN_DOWN(pfn, PAGES_PER_SUBSECTION) + PAGES_PER_SUBSECTION;
#else
	return pfn < max_pfn ? pfn + 1 : ULONG_MAX;
#endif
}

/*
 * Whether the kernel can pin a reserved page, and the number of references tells when it
 * no longer does. Others who use this memory may have references. The core refuses to pin
 * pages of ZONE_MOVABLE for long. Those of a failed page do not count: it is never used.
 */
static bool cmem_memory_can_pin(struct page *page)
{
	return PageHWPoison(page) ||
	       (page_ref_count(page) == 1 && !is_zone_movable_page(page));
}

static int cmem_memory_check_pages(struct device *dev,
				   struct cmem_block_config *config)
{
	unsigned long last = PHYS_PFN(config->base + config->length - 1);
	unsigned long pfn = PHYS_PFN(config->base);
	unsigned long steps = 0;

	config->has_pages = true;
	config->can_pages = config->kind == CMEM_KIND_RESERVED;
	while (pfn <= last) {
		if (!pfn_valid(pfn)) {
			config->has_pages = false;
			config->can_pages = false;
			pfn = cmem_memory_next_page(pfn);
		} else if (PageReserved(pfn_to_page(pfn))) {
			if (!cmem_memory_can_pin(pfn_to_page(pfn)))
				config->can_pages = false;
			pfn++;
		} else {
			phys_addr_t phys = PFN_PHYS(pfn);

			dev_err(dev, "block %d: the page at %pa is not reserved: it belongs to the kernel's page allocator\n",
				config->id, &phys);
			return -EBUSY;
		}
		if (steps++ % SZ_2K)
			continue;
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/*
 * Reject memory that EFI needs at runtime or must keep, and memory that is broken, even
 * where mem= hides it.
 */
static int cmem_memory_check_efi(struct device *dev,
				 const struct cmem_block_config *config)
{
	phys_addr_t last = config->base + config->length - 1;
	efi_memory_desc_t *md;

	if (!efi_enabled(EFI_MEMMAP))
		return 0;
	for_each_efi_memory_desc(md) {
		u64 end = md->phys_addr + (md->num_pages << EFI_PAGE_SHIFT);

		if (md->phys_addr > last || end <= config->base ||
		    !(md->attribute & EFI_MEMORY_RUNTIME ||
		      md->attribute & EFI_MEMORY_NV ||
		      md->type == EFI_ACPI_RECLAIM_MEMORY ||
		      md->type == EFI_ACPI_MEMORY_NVS ||
		      md->type == EFI_PERSISTENT_MEMORY ||
		      md->type == EFI_UNUSABLE_MEMORY))
			continue;
		dev_err(dev, "block %d: %#llx bytes at %pa overlap %#llx bytes at %#llx that are the EFI firmware's: efi=debug shows its map in the boot log\n",
			config->id, config->length, &config->base,
			end - md->phys_addr, md->phys_addr);
		return -EBUSY;
	}
	return 0;
}

/**
 * cmem_memory_check - check that memory can become a block
 * @dev: for messages
 * @config: has the range and the kind. The kind is corrected if the memory turns out to
 *	be something else. @is_ram, @has_pages and @can_pages are set. @pages is cleared
 *	if the memory can't have that, which is logged.
 *
 * The memory must exist, and the page allocator must not own it: the worst error of this
 * driver would be to allocate a page that the page allocator also allocates. May sleep.
 *
 * Return: 0; -ENXIO if nothing vouches for the memory, -EBUSY if it is in use, -EINVAL
 * if the kernel owns only a part of it, -EINTR. The reason is logged, except for -EINTR.
 */
int cmem_memory_check(struct device *dev, struct cmem_block_config *config)
{
	u64 known = cmem_memory_covered(config, cmem_cover_add_known);
	u64 ram = cmem_memory_covered(config, cmem_cover_add_system_ram);
	const char *user = cmem_memory_used_by(config);
	int ret;

	if (user) {
		dev_err(dev, "block %d: %#llx bytes at %pa overlap %s, which the boot loader put there\n",
			config->id, config->length, &config->base, user);
		return -EBUSY;
	}
	/* The firmware may not know the device tree's regions. */
	ret = cmem_memory_check_efi(dev, config);
	if (!ret)
		ret = cmem_memory_check_vouched(dev, config);
	if (ret)
		return ret;
	/*
	 * no-map memory is not in the linear map, so mem= may hide a part of it. But
	 * on arm64 the rest is a resource, which can't be claimed with the hidden part.
	 */
	if (known && known != config->length &&
	    (config->kind != CMEM_KIND_CARVEOUT || IS_ENABLED(CONFIG_ARM64))) {
		dev_err(dev, "block %d: the kernel has only %#llx of %#llx bytes at %pa as its memory, must be all, or none: mem= or linux,usable-memory-range ends in the middle of the block\n",
			config->id, known, config->length, &config->base);
		return -EINVAL;
	}

	if (config->kind == CMEM_KIND_CARVEOUT && ram) {
		dev_err(dev, "block %d: %#llx bytes at %pa are System RAM although their node says no-map: see the boot log for why\n",
			config->id, config->length, &config->base);
		return -EBUSY;
	}
	/* The driver would use the linear map for all of it. */
	if (ram && ram != config->length) {
		dev_err(dev, "block %d: only %#llx of %#llx bytes at %pa are System RAM, must be all, or none: another node takes a part of them from the kernel with no-map\n",
			config->id, ram, config->length, &config->base);
		return -EINVAL;
	}
	/* The linear map contains only RAM, whether or not the node has no-map. */
	if (!ram && config->kind == CMEM_KIND_RESERVED)
		config->kind = CMEM_KIND_CARVEOUT;
	ret = cmem_memory_check_pages(dev, config);
	if (!ret && config->pages && !config->can_pages) {
		dev_err(dev, "block %d: its buffers can't be page-backed: %#llx bytes at %pa are not in the kernel's linear map, or others use their pages, or they are in ZONE_MOVABLE: must be reserved memory without no-map, cmem_carveout= or CMA\n",
			config->id, config->length, &config->base);
		config->pages = false;
	}
	return ret;
}

/* Firmware memory that is not RAM, and that drivers may claim later */
static const struct {
	unsigned long desc;
	const char *what;
} cmem_firmware_memory[] = {
	{ IORES_DESC_ACPI_TABLES, "ACPI tables" },
	{ IORES_DESC_ACPI_NV_STORAGE, "ACPI non-volatile storage" },
	{ IORES_DESC_PERSISTENT_MEMORY, "persistent memory" },
	{ IORES_DESC_PERSISTENT_MEMORY_LEGACY, "persistent memory" },
	{ IORES_DESC_SOFT_RESERVED, "memory reserved for a special purpose" },
};

static int cmem_memory_check_firmware(struct device *dev,
				      const struct cmem_block_config *config)
{
	u64 offset, step;
	int i;

	/* region_intersects() takes a size_t. */
	for (offset = 0; offset < config->length; offset += step) {
		step = min_t(u64, config->length - offset, SIZE_MAX & PAGE_MASK);
		for (i = 0; i < ARRAY_SIZE(cmem_firmware_memory); i++) {
			if (region_intersects(config->base + offset, step,
					      IORESOURCE_MEM,
					      cmem_firmware_memory[i].desc) ==
			    REGION_DISJOINT)
				continue;
			dev_err(dev, "block %d: %#llx bytes at %pa overlap %s: see /proc/iomem\n",
				config->id, config->length, &config->base,
				cmem_firmware_memory[i].what);
			return -EBUSY;
		}
	}
	return 0;
}

/**
 * cmem_memory_check_unknown - check that memory not reserved for CMEM is free
 * @dev: for messages
 * @config: has the range; its kind is set
 *
 * Neither the kernel nor others may use the memory, because it will be cleared.
 * cmem_memory_check() checks that it exists.
 *
 * Return: 0; -EBUSY if it is not free, -EPERM if the caller may not choose physical
 * addresses. The reason is logged.
 */
int cmem_memory_check_unknown(struct device *dev,
			      struct cmem_block_config *config)
{
	u64 ram = cmem_memory_covered(config, cmem_cover_add_system_ram);
	int ret;

	if (ram) {
		dev_err(dev, "block %d: %#llx of %#llx bytes at %pa are System RAM: keep the kernel from it with mem= or memmap=, or reserve it in the device tree\n",
			config->id, ram, config->length, &config->base);
		return -EBUSY;
	}
	ret = cmem_config_of_check_unused(dev, config);
	if (!ret)
		ret = cmem_memory_check_firmware(dev, config);
	if (ret)
		return ret;
	/* The owner of the address is unknown, so the rules of /dev/mem apply. */
	if (security_locked_down(LOCKDOWN_DEV_MEM)) {
		dev_err(dev, "block %d: %#llx bytes at %pa were not reserved for CMEM at boot, and the kernel is locked down\n",
			config->id, config->length, &config->base);
		return -EPERM;
	}
	if (!capable(CAP_SYS_RAWIO)) {
		dev_err(dev, "block %d: %#llx bytes at %pa were not reserved for CMEM at boot: as for /dev/mem, that takes CAP_SYS_RAWIO\n",
			config->id, config->length, &config->base);
		return -EPERM;
	}
	config->kind = CMEM_KIND_CARVEOUT;
	return 0;
}
