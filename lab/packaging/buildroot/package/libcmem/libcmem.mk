# SPDX-License-Identifier: GPL-2.0-or-later
################################################################################
#
# libcmem
#
################################################################################

# As linux-tools has it: the sources are those of the kernel, so there is no
# source or site here. Nothing is built in them: objects are in $(@D).
LIBCMEM_VERSION = 1.1.0
LIBCMEM_SOURCE =
LIBCMEM_LICENSE = BSD-3-Clause
LIBCMEM_LICENSE_FILES = COPYING
LIBCMEM_DEPENDENCIES = linux
LIBCMEM_INSTALL_STAGING = YES

LIBCMEM_DIR_IN_KERNEL = $(LINUX_DIR)/tools/cmem

LIBCMEM_MAKE_OPTS = \
	O=$(@D) \
	CFLAGS="$(TARGET_CFLAGS)" \
	LDFLAGS="$(TARGET_LDFLAGS)" \
	prefix=/usr

# legal-info looks for the licence here.
define LIBCMEM_COPY_LICENSE
	cp $(LIBCMEM_DIR_IN_KERNEL)/COPYING $(@D)/COPYING
endef
LIBCMEM_PRE_BUILD_HOOKS += LIBCMEM_COPY_LICENSE

define LIBCMEM_BUILD_CMDS
	$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(MAKE) \
		-C $(LIBCMEM_DIR_IN_KERNEL) $(LIBCMEM_MAKE_OPTS) \
		all
endef

define LIBCMEM_INSTALL_STAGING_CMDS
	$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(MAKE) \
		-C $(LIBCMEM_DIR_IN_KERNEL) $(LIBCMEM_MAKE_OPTS) \
		DESTDIR=$(STAGING_DIR) install-lib
endef

define LIBCMEM_INSTALL_TARGET_CMDS
	$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(MAKE) \
		-C $(LIBCMEM_DIR_IN_KERNEL) $(LIBCMEM_MAKE_OPTS) \
		DESTDIR=$(TARGET_DIR) install
endef

# The group that the udev rules give the device to
define LIBCMEM_USERS
	- -1 cmem -1 * - - - CMEM
endef

$(eval $(generic-package))
