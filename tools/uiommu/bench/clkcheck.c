// SPDX-License-Identifier: GPL-2.0-only
/*
 * clkcheck - is the guest's clock a count of guest instructions?
 * Times loops of known length; under -icount shift=0 the answers are the
 * lengths plus the constant cost of the time stamps.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

int main(void)
{
	static uint64_t page[512];
	uint64_t v[21], t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(page, 1, sizeof(page));
	printf("R prog=clkcheck what=clock_pair ns=%lu\n", rig_clock_cost());
	for (int i = 0; i < 21; i++) {
		uint64_t n = 50000;

		t = rig_now();
		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		v[i] = rig_now() - t;
	}
	printf("R prog=clkcheck what=loop_100000_insn clk_min=%lu clk_p50=%lu clk_max=%lu\n",
	       rig_stat(v, 21).min, rig_stat(v, 21).p50, rig_stat(v, 21).max);
	for (int i = 0; i < 21; i++) {
		uint64_t n = 50000;

		t = rig_tsc();
		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		v[i] = rig_tsc() - t;
	}
	printf("R prog=clkcheck what=loop_100000_insn tsc_min=%lu tsc_p50=%lu tsc_max=%lu\n",
	       rig_stat(v, 21).min, rig_stat(v, 21).p50, rig_stat(v, 21).max);
	for (int i = 0; i < 21; i++) {
		uint64_t n = 5000000;

		t = rig_now();
		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		v[i] = rig_now() - t;
	}
	printf("R prog=clkcheck what=loop_10000000_insn clk_min=%lu clk_p50=%lu clk_max=%lu\n",
	       rig_stat(v, 21).min, rig_stat(v, 21).p50, rig_stat(v, 21).max);
	for (int i = 0; i < 21; i++) {
		void *d = page;
		uint64_t n = 512;

		t = rig_tsc();
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(0) : "memory");
		v[i] = rig_tsc() - t;
	}
	printf("R prog=clkcheck what=rep_stosq_512 tsc_p50=%lu\n", rig_stat(v, 21).p50);
	for (int i = 0; i < 21; i++) {
		void *d = page;
		uint64_t n = 4096;

		t = rig_tsc();
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(0) : "memory");
		v[i] = rig_tsc() - t;
	}
	printf("R prog=clkcheck what=rep_stosb_4096 tsc_p50=%lu\n", rig_stat(v, 21).p50);
	for (int i = 0; i < 21; i++) {
		t = rig_now();
		getppid();
		v[i] = rig_now() - t;
	}
	printf("R prog=clkcheck what=getppid ns_p50=%lu (one clock pair included)\n",
	       rig_stat(v, 21).p50);
	return 0;
}
