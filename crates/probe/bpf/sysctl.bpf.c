// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Who writes a sysctl: each write by a process below a cgroup, before the kernel takes or refuses it. It decides
 * nothing: every write goes on, and reading is not looked at.
 *
 * Kernel: BPF_PROG_TYPE_CGROUP_SYSCTL (5.2 and later); the helpers that name the task are there for it since 6.1.
 * With NETNS it also says in which network namespace the writer is, which takes the kernel's own types (BTF) and the right
 * to read its memory (CAP_PERFMON).
 */

/* The little that is needed of the kernel's interface; its numbers never change (include/uapi/linux/bpf.h). */
typedef unsigned long long u64;
typedef unsigned int u32;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]

#define BPF_MAP_TYPE_RINGBUF 27

struct bpf_sysctl {
	u32 write, file_pos;
};

static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;
static long (*const bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_sysctl_get_name)(void *ctx, char *to, u64 size, u64 flags) = (void *)101;
static long (*const bpf_sysctl_get_new_value)(void *ctx, char *to, u64 size) = (void *)103;
static void *(*const bpf_ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;

#ifdef NETNS
#define KERNELS __attribute__((preserve_access_index))
struct ns_common {
	u32 inum;
} KERNELS;
struct net {
	struct ns_common ns;
} KERNELS;
struct nsproxy {
	struct net *net_ns;
} KERNELS;
struct task_struct {
	struct nsproxy *nsproxy;
} KERNELS;

static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;

/* A task that ends has none: what is read behind a null pointer is 0. */
static u32 netns(void)
{
	return bpf_get_current_task_btf()->nsproxy->net_ns->ns.inum;
}
#else
static u32 netns(void)
{
	return 0;
}
#endif

/* What the two sides agree on: see src/watch/bpf.rs. */
struct write {
	u64 at; /* nanoseconds of CLOCK_MONOTONIC */
	u64 pid_tgid;
	u64 cgroup; /* its inode */
	u32 uid;
	u32 netns; /* its inode; 0: not known */
	char comm[16];
	char name[96]; /* net/netfilter/nf_conntrack_max */
	char value[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} writes SEC(".maps");

SEC("cgroup/sysctl")
int watch(struct bpf_sysctl *ctx)
{
	struct write *w;

	if (!ctx->write)
		return 1;
	w = bpf_ringbuf_reserve(&writes, sizeof(*w), 0);
	if (!w)
		return 1;
	w->at = bpf_ktime_get_ns();
	w->pid_tgid = bpf_get_current_pid_tgid();
	w->cgroup = bpf_get_current_cgroup_id();
	w->uid = (u32)bpf_get_current_uid_gid();
	w->netns = netns();
	bpf_get_current_comm(w->comm, sizeof(w->comm));
	__builtin_memset(w->name, 0, sizeof(w->name));
	__builtin_memset(w->value, 0, sizeof(w->value));
	bpf_sysctl_get_name(ctx, w->name, sizeof(w->name), 0);
	bpf_sysctl_get_new_value(ctx, w->value, sizeof(w->value));
	bpf_ringbuf_submit(w, 0);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
