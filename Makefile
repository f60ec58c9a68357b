# SPDX-License-Identifier: GPL-2.0
# The commands of this repository. Each is a script in lab/; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo check check-all check-tree series kselftest bench fuzz shell clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## a program and a "DSP" work on one picture in one buffer, then a camera, a display and a disk [PICTURE=file.png]
	@lab/run demo $${PICTURE:+"$$PICTURE"}

check: ## everything that must hold before a change lands, within an hour
	@lab/check

check-all: ## that and all else, for hours; goes on where it was stopped [FRESH=1: from the beginning]
	@lab/check --all $${FRESH:+--fresh}

series: ## write patches/ anew from the overlay and the edits [MAINTAINER="Name <mail>": from whom]
	@lab/setup && lab/series/generate

check-tree: ## try the series on another kernel's source: apply, build, boot [KERNEL=/path/to/linux ARCH=arm64|arm|x86_64]
	@lab/setup && lab/series/check-tree "$$KERNEL" $${ARCH:+"$$ARCH"}

kselftest: ## the selftests in the guest [TEST=life,mmap BOARD=qemu-arm64|qemu-arm-lpae|qemu-arm-nolpae|qemu-x86_64 VARIANT=coherent CONFIG=arm64-debug|arm64-64k|arm64-rt]
	@lab/run kselftest

bench: ## what each operation costs, in guest instructions [BOARD=qemu-arm64|qemu-x86_64]
	@lab/run bench

fuzz: ## the fuzzer, on the kernel with KASAN, on KVM where that works [CALLS=1000000]
	@lab/run fuzz

shell: ## a prompt in the guest [BOARD=, VARIANT=, CONFIG= as above]
	@lab/run shell

clean: ## remove results and logs; the cache of sources and builds stays
	rm -rf lab/out
