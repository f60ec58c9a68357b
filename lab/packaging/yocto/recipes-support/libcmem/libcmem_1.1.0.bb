# SPDX-License-Identifier: MIT
SUMMARY = "Library and tool of CMEM, TI's contiguous memory allocator"
DESCRIPTION = "libcmem gives programs physically contiguous memory with its physical \
addresses, for DSPs, codecs and DMA engines. cmemctl shows, tests and allocates it."
SECTION = "libs"

# Sources are those of the kernel that is built, to which the CMEM series was applied. Its
# configuration needs CONFIG_TI_CMEM=y: add the series' Kconfig.fragment to the kernel's SRC_URI.
LICENSE = "BSD-3-Clause"
LIC_FILES_CHKSUM = "file://tools/cmem/COPYING;md5=30169e5c73de7fcaef4997f64280b94c"

inherit kernelsrc pkgconfig useradd

B = "${WORKDIR}/${BPN}-${PV}"
PACKAGE_ARCH = "${MACHINE_ARCH}"
do_populate_lic[depends] += "virtual/kernel:do_shared_workdir"

EXTRA_OEMAKE = "\
    -C ${S}/tools/cmem O=${B} V=1 \
    CC='${CC}' AR='${AR}' CFLAGS='${CFLAGS}' LDFLAGS='${LDFLAGS}' \
    prefix=${prefix} exec_prefix=${exec_prefix} bindir=${bindir} libdir=${libdir} \
    includedir=${includedir} datadir=${datadir} mandir=${mandir} docdir=${docdir}/${BPN} \
    udevrulesdir=${nonarch_base_libdir}/udev/rules.d sysusersdir=${nonarch_libdir}/sysusers.d \
"

do_configure[noexec] = "1"

do_compile() {
    oe_runmake all
}

do_install() {
    oe_runmake DESTDIR=${D} install
}

# cmemctl is linked statically with the library. Both need the group and its udev rules.
PACKAGES =+ "${PN}-common cmemctl cmemctl-bash-completion"
FILES:${PN}-common = "\
    ${nonarch_base_libdir}/udev/rules.d/70-cmem.rules \
    ${nonarch_libdir}/sysusers.d/cmem.conf \
"
FILES:cmemctl = "${bindir}/cmemctl"
FILES:cmemctl-bash-completion = "${datadir}/bash-completion/completions/cmemctl"
RDEPENDS:${PN} += "${PN}-common"
RDEPENDS:cmemctl += "${PN}-common"

USERADD_PACKAGES = "${PN}-common"
GROUPADD_PARAM:${PN}-common = "--system cmem"
