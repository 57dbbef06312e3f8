// A plugin of qemu that adds up the instructions that a program runs: of each block, when it begins to run.
//
// Built without qemu's header, which distributions don't pack. These few functions are the same in versions 1 to 5 of the interface.
#include <stdint.h>
#include <stdio.h>

struct tb;
typedef uint64_t plugin_id;
typedef void (*on_block)(unsigned int cpu, void *data);
typedef void (*on_translation)(plugin_id id, struct tb *block);
typedef void (*on_end)(plugin_id id, void *data);

extern size_t qemu_plugin_tb_n_insns(const struct tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, on_translation call);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *block, on_block call, int registers, void *data);
extern void qemu_plugin_register_atexit_cb(plugin_id id, on_end call, void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t instructions;

static void runs(unsigned int cpu, void *data) {
  (void)cpu;
  // Several threads count together.
  __atomic_fetch_add(&instructions, (uint64_t)(uintptr_t)data, __ATOMIC_RELAXED);
}

static void is_translated(plugin_id id, struct tb *block) {
  (void)id;
  // 0: no registers are read.
  qemu_plugin_register_vcpu_tb_exec_cb(block, runs, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void ends(plugin_id id, void *data) {
  (void)id;
  (void)data;
  fprintf(stderr, "instructions: %llu\n", (unsigned long long)instructions);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, is_translated);
  qemu_plugin_register_atexit_cb(id, ends, NULL);
  return 0;
}
