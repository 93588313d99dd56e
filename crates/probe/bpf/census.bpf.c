// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A census of the connection-tracking table, in place.
 *
 * Two programs that are never attached to anything: user space runs them by BPF_PROG_TEST_RUN, under which the
 * kernel holds the RCU read lock and does not preempt. `find` tells where the table is, `walk` copies the
 * entries of a range of buckets into the worker's buffer. Nothing is written but the maps of this program, no
 * lock is taken, no entry is touched.
 *
 * The walk advances the chains of a group of buckets together, level by level: what costs time is waiting
 * for memory, and so the waits overlap. No branch depends on what was just loaded. A reader under RCU may meet an
 * entry that was freed and used anew meanwhile; it is then in another chain. So the end of each chain must carry the
 * number of its own bucket, and the link of each entry that was copied must be the same before and after;
 * otherwise the group is done again.
 *
 * The kernel's structures are not named here: their offsets come in `at`, from the kernel's own BTF.
 *
 * Two objects are built from this file. With -DDIRECT memory is read by plain loads, for which a kfunc
 * (bpf_rdonly_cast, 6.2 and later) makes a typed pointer of a number, and loops are bpf_loop. Without, by
 * bpf_probe_read_kernel and bounded loops: 5.10 and later.
 */

/* The little that is needed of the kernel's interface; its numbers never change (include/uapi/linux/bpf.h). */
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef signed int s32;

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name

#define BPF_MAP_TYPE_ARRAY 2
#define BPF_F_MMAPABLE (1U << 10)

struct bpf_raw_tracepoint_args {
	u64 args[12];
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static u64 (*const bpf_jiffies64)(void) = (void *)118;

char LICENSE[] SEC("license") = "GPL";

/* What the two sides agree on: see src/entries/bpf/shared.rs. */
#define LANES 64
#define ROWS 4096
#define WORKERS 4

struct row {
	u64 original_source[2], original_destination[2];
	u64 reply_source[2], reply_destination[2];
	u16 original_ports[2], reply_ports[2];
	u32 status, expires, mark, netns;
	u16 zone;
	u8 zone_direction, state, family, protocol;
	u16 bucket; /* from the first of this run */
};

/* What is told beside a row where it is asked for. */
struct more {
	u64 counters[4]; /* packets and bytes of the original direction, of the reply direction */
	u64 started, stopped, labels[2], helper[2];
	u32 references, secmark, tags[2];
	u32 has, unused;
};

/* In `has`, and in the question. TOLD: the entry lived while it was looked at, so what is not there is nothing. */
#define ACCOUNTING 1
#define TIMES 2
#define LABELS 4
#define HELPER 8
#define TOLD 16

struct worker {
	/* What one run of `walk` leaves. */
	u64 cursor, rows, nanos, nodes, foreign, expired, redone, cut, crowded, unreadable;
	/* Its scratch. */
	u64 table, end, at_once, netns, deadline, now, wants;
	u64 lanes, going, originals, bad, first, begin, count, sink, entry;
	u64 here[LANES], next[LANES], direction[LANES], bucket[LANES];
	u64 original[LANES], original_next[LANES], original_bucket[LANES];
	u64 object[40];
	struct row row[ROWS];
	struct more more[ROWS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WORKERS);
	__type(key, u32);
	__type(value, struct worker);
} workers SEC(".maps");

struct found {
	u64 table, buckets, jiffies, nanos;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct found);
} found SEC(".maps");

/* Byte offsets, filled in by the loader. */
struct offsets {
	/* in struct nf_conn, and how much of it must be read to see them all */
	u32 tuplehash, timeout, zone, status, net, mark, tcp, sctp, dccp, length;
	u32 extensions, references, secmark, tags;
	/* in struct net: its number */
	u32 inum;
	/* in struct nf_ct_ext: the byte that tells where an extension begins, NONE where this kernel has not that one */
	u32 accounting, times, labels, help;
	/* in struct nf_conn_help the helper, in that its name */
	u32 helper, helper_name;
	/* DIRECT: BTF id of a struct that holds a long array of integers, and that array's offset */
	u32 window, window_offset;
	/* from the current task to the iterator behind an open /proc/net/nf_conntrack */
	u32 files, fdt, fd, private_data, seq_private, iterator_table, iterator_buckets;
};
const volatile struct offsets at = {};
#define NONE 0xffffffff

/* struct nf_conntrack_tuple_hash; the loader compares it with BTF. */
#define SOURCE 16
#define SOURCE_PORT 32
#define FAMILY 34
#define DESTINATION 36
#define DESTINATION_PORT 52
#define PROTOCOL 54
#define DIRECTION 55
#define TUPLE_HASH 56

/* Bounds that neither the compiler may drop nor the verifier miss. */
#define WITHIN(value, mask) ({ u64 _v = (value); asm volatile("" : "+r"(_v)); _v &= (mask); _v; })

static __always_inline struct worker *worker_of(u32 w)
{
	return bpf_map_lookup_elem(&workers, &w);
}

struct context {
	struct worker *k;
	u32 w;
};

#ifdef DIRECT
/* The loader makes a kfunc call of every call with this number. */
static void *(*const rdonly_cast)(void *, u32) = (void *)0x7fc07e5a;
/* A pointer through which integers at constant offsets below 256 may be read. */
#define WINDOW(p) ((char *)rdonly_cast((void *)((p) - at.window_offset), at.window) + at.window_offset)
#define FROM(type, window, offset) (*(volatile type *)((window) + (offset)))
static long (*const loop)(u32, void *, void *, u64) = (void *)181; /* bpf_loop */
#define LOOP(times, most, body, context) loop(times, body, context, 0)
#define BODY static long
#define UNROLL 4
#define LEVELS 8192
#define GROUPS 1024
#else
#define LOOP(times, most, body, context) do { \
	for (u32 _i = 0; _i < (most); _i++) { \
		if (_i >= (times)) break; \
		if (body(_i, context)) break; \
	} } while (0)
#define BODY static __always_inline long
#define UNROLL 1
#define LEVELS 2048
#define GROUPS 32
#endif
#define STEPS(lanes) (((lanes) + UNROLL - 1) / UNROLL)
#define LANE(j) WITHIN(j, LANES - 1)
#define NOT_ZERO(x) (((x) | -(x)) >> 63)

/* Loads the links and directions of a few lanes. Those beyond the last hold old addresses: harmless. */
BODY load(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 j = WITHIN((u64)i * UNROLL, LANES - UNROLL);
#pragma unroll
	for (u32 n = 0; n < UNROLL; n++) {
		u64 p = k->here[j + n];
#ifdef DIRECT
		char *window = WINDOW(p);
		k->next[j + n] = FROM(u64, window, 0);
		k->direction[j + n] = FROM(u8, window, DIRECTION);
#else
		bpf_probe_read_kernel(&k->next[j + n], 8, (void *)p);
		bpf_probe_read_kernel(&k->direction[j + n], 1, (void *)p + DIRECTION);
#endif
	}
	return 0;
}

/* Sorts a few lanes by what was loaded: originals to be copied, chains that go on. */
BODY sort(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 j = WITHIN((u64)i * UNROLL, LANES - UNROLL);
	u64 lanes = k->lanes, m = k->originals, f = k->going, bad = k->bad;
#pragma unroll
	for (u32 n = 0; n < UNROLL; n++) {
		u64 live = (j + n - lanes) >> 63, next = k->next[j + n], bucket = k->bucket[j + n];
		u64 end = next & 1, some = NOT_ZERO(next);
		k->original[LANE(m)] = k->here[j + n];
		k->original_next[LANE(m)] = next;
		k->original_bucket[LANE(m)] = bucket;
		m += live & ~k->direction[j + n] & 1;
		k->here[LANE(f)] = next;
		k->bucket[LANE(f)] = bucket;
		f += live & some & ~end;
		bad |= live & ((end & NOT_ZERO((next >> 1) ^ bucket)) | (some ^ 1));
	}
	k->originals = m;
	k->going = f;
	k->bad = bad;
	return 0;
}

/* The same for the heads of chains: there is nothing to copy. */
BODY start(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 j = LANE(i), next = k->next[j], bucket = k->begin + j, f = k->going;
	u64 end = next & 1, some = NOT_ZERO(next);
	k->here[LANE(f)] = next;
	k->bucket[LANE(f)] = bucket;
	k->going = f + (some & ~end);
	k->bad |= (end & NOT_ZERO((next >> 1) ^ bucket)) | (some ^ 1);
	return 0;
}

#ifdef DIRECT
#define LOAD(to, from) ((to) = FROM(typeof(to), WINDOW(from), 0))
#else
#define LOAD(to, from) bpf_probe_read_kernel(&(to), sizeof(to), (void *)(from))
#endif

/* Where an extension lies; 0: the entry has it not. */
#define EXTENSION(name) ({ u8 _at = 0; if (at.name != NONE) LOAD(_at, extensions + at.name); \
	_at ? extensions + _at : 0; })

/*
 * What lies beside an entry. Its extensions are freed with it, at once; so that it lives is looked at behind them. Then
 * what was read was its own.
 */
__noinline int more(u32 w)
{
	struct worker *k = worker_of(w);
	if (!k || !k->wants)
		return 0;
	struct more *m = &k->more[WITHIN(k->rows, ROWS - 1)];
	u64 entry = k->entry, wants = k->wants, extensions = 0, again = 0, place;
	u32 has = 0, status = 0;
	LOAD(m->references, entry + at.references);
	LOAD(m->secmark, entry + at.secmark);
	LOAD(m->tags[0], entry + at.tags);
	LOAD(m->tags[1], entry + at.tags + 4);
	LOAD(extensions, entry + at.extensions);
	if (extensions) {
		if (wants & ACCOUNTING && (place = EXTENSION(accounting))) {
			has |= ACCOUNTING;
			LOAD(m->counters[0], place);
			LOAD(m->counters[1], place + 8);
			LOAD(m->counters[2], place + 16);
			LOAD(m->counters[3], place + 24);
		}
		if (wants & TIMES && (place = EXTENSION(times))) {
			has |= TIMES;
			LOAD(m->started, place);
			LOAD(m->stopped, place + 8);
		}
		if (wants & LABELS && (place = EXTENSION(labels))) {
			has |= LABELS;
			LOAD(m->labels[0], place);
			LOAD(m->labels[1], place + 8);
		}
		if (wants & HELPER && (place = EXTENSION(help))) {
			LOAD(place, place + at.helper);
			if (place) {
				has |= HELPER;
				LOAD(m->helper[0], place + at.helper_name);
				LOAD(m->helper[1], place + at.helper_name + 8);
			}
		}
	}
	LOAD(again, entry + at.extensions);
	LOAD(status, entry + at.status);
	/* IPS_DYING */
	m->has = again == extensions && !(status & 1 << 9) ? has | TOLD : 0;
	return 0;
}

#ifdef DIRECT
/* Fetches what lies beside a few originals. */
BODY reach(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 j = WITHIN((u64)i * UNROLL, LANES - UNROLL), x = 0;
#pragma unroll
	for (u32 n = 0; n < UNROLL; n++) {
		u64 entry = k->original[j + n] - at.tuplehash;
		u64 extensions = FROM(u64, WINDOW(entry + at.extensions), 0);
		/* None: the entry itself, so that there is no branch. */
		extensions |= entry & (NOT_ZERO(extensions) - 1);
		char *window = WINDOW(extensions);
		x += FROM(u64, window, 0) + FROM(u64, window, 64);
	}
	k->sink += x;
	return 0;
}

/* Fetches the rest of a few originals. */
BODY touch(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 j = WITHIN((u64)i * UNROLL, LANES - UNROLL), x = 0;
#pragma unroll
	for (u32 n = 0; n < UNROLL; n++) {
		char *window = WINDOW(k->original[j + n] - at.tuplehash);
		x += FROM(u64, window, at.status) + FROM(u8, window, at.tcp);
	}
	k->sink += x;
	return 0;
}
#endif

/* Copies one original. */
BODY copy(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 j = LANE(i), head = k->original[j], entry = head - at.tuplehash;
	struct row *r = &k->row[WITHIN(k->rows, ROWS - 1)];
	u64 again = 0;
	u32 netns = 0;
#ifdef DIRECT
	char *window = WINDOW(entry);
#define GET(type, offset) FROM(type, window, offset)
#else
	if (bpf_probe_read_kernel(k->object, at.length, (void *)entry)) {
		k->unreadable++;
		return 0;
	}
#define GET(type, offset) (*(type *)((char *)k->object + WITHIN(offset, 255)))
#endif
	u32 left = GET(u32, at.timeout) - (u32)k->now;
	if ((s32)left <= 0) {
		k->expired++;
		return 0;
	}
	u64 net = GET(u64, at.net);
#ifdef DIRECT
	netns = FROM(u32, WINDOW(net + at.inum), 0);
#else
	bpf_probe_read_kernel(&netns, 4, (void *)(net + at.inum));
#endif
	if (k->netns && k->netns != netns) {
		k->foreign++;
		return 0;
	}
	u32 here = at.tuplehash;
#define TUPLE(which, base) \
	r->which##_source[0] = GET(u64, (base) + SOURCE); \
	r->which##_source[1] = GET(u64, (base) + SOURCE + 8); \
	r->which##_destination[0] = GET(u64, (base) + DESTINATION); \
	r->which##_destination[1] = GET(u64, (base) + DESTINATION + 8); \
	r->which##_ports[0] = GET(u16, (base) + SOURCE_PORT); \
	r->which##_ports[1] = GET(u16, (base) + DESTINATION_PORT)
	TUPLE(original, here);
	TUPLE(reply, here + TUPLE_HASH);
	u8 protocol = GET(u8, here + PROTOCOL);
	r->family = GET(u8, here + FAMILY);
	r->protocol = protocol;
	r->status = GET(u32, at.status);
	r->expires = left;
	r->mark = GET(u32, at.mark);
	r->netns = netns;
	r->zone = GET(u16, at.zone);
	r->zone_direction = GET(u8, at.zone + 3);
	r->bucket = k->original_bucket[j] - k->first;
	if (protocol == 132)
		r->state = GET(u8, at.sctp);
	else if (protocol == 33)
		r->state = GET(u8, at.dccp);
	else
		r->state = GET(u8, at.tcp);
	k->entry = entry;
	more(c->w);
	/* Was the entry freed and used anew while it was copied? Then it is in another chain now. */
#ifdef DIRECT
	again = FROM(u64, WINDOW(head), 0);
#else
	bpf_probe_read_kernel(&again, 8, (void *)head);
#endif
	k->bad |= NOT_ZERO(again ^ k->original_next[j]);
	k->rows++;
	return 0;
}

/* One step along every chain of the group. */
__noinline int level(u32 w)
{
	struct worker *k = worker_of(w);
	if (!k)
		return 0;
	struct context c = { .k = k, .w = w };
	u64 lanes = k->lanes;
	k->originals = 0;
	k->going = 0;
	LOOP(STEPS(lanes), LANES / UNROLL, load, &c);
	lanes = *(volatile u64 *)&k->lanes;
	LOOP(STEPS(lanes), LANES / UNROLL, sort, &c);
	k->nodes += *(volatile u64 *)&k->lanes;
	u64 originals = *(volatile u64 *)&k->originals;
#ifdef DIRECT
	LOOP(STEPS(originals), LANES / UNROLL, touch, &c);
	if (k->wants)
		LOOP(STEPS(originals), LANES / UNROLL, reach, &c);
#endif
	LOOP(originals, LANES, copy, &c);
	k->lanes = k->going;
	return 0;
}

BODY step(u32 i, struct context *c)
{
	struct worker *k = c->k;
	if (!*(volatile u64 *)&k->lanes || *(volatile u64 *)&k->rows > ROWS - LANES)
		return 1;
	level(c->w);
	return 0;
}

/* The chains of a few buckets, from their heads to their ends. */
__noinline int group(u32 w)
{
	struct worker *k = worker_of(w);
	if (!k)
		return 0;
	struct context c = { .k = k, .w = w };
	u64 rows = k->rows, expired = k->expired, foreign = k->foreign, size = k->count * 8;
	if (size > sizeof(k->next))
		size = sizeof(k->next);
	k->bad = 0;
	k->going = 0;
	if (bpf_probe_read_kernel(k->next, size, (void *)(k->table + 8 * k->begin))) {
		k->unreadable++;
		return 0;
	}
	u64 count = *(volatile u64 *)&k->count;
	LOOP(count, LANES, start, &c);
	k->lanes = k->going;
	LOOP(LEVELS, LEVELS, step, &c);
	if (!k->bad && !k->lanes) {
		k->begin += k->count;
		return 0;
	}
	/* Changed, or too much at once: as if it had not been read. */
	k->rows = rows;
	k->expired = expired;
	k->foreign = foreign;
	if (k->bad)
		k->redone++;
	else if (rows)
		k->end = 0;
	else
		k->crowded = k->count;
	return 0;
}

BODY one(u32 i, struct context *c)
{
	struct worker *k = c->k;
	u64 begin = *(volatile u64 *)&k->begin, end = *(volatile u64 *)&k->end;
	if (begin >= end || k->crowded || k->unreadable || bpf_ktime_get_ns() >= k->deadline)
		return 1;
	u64 count = end - begin;
	k->count = count < k->at_once ? count : k->at_once;
	group(c->w);
	return 0;
}

/* Arguments: table, first bucket, bucket after the last, worker, buckets at once, namespace or 0, nanoseconds, what more. */
SEC("raw_tp") int walk(struct bpf_raw_tracepoint_args *ctx)
{
	u32 w = ctx->args[3];
	struct worker *k = worker_of(w);
	if (!k)
		return 1;
	struct context c = { .k = k, .w = w };
	u64 start = bpf_ktime_get_ns();
	k->table = ctx->args[0];
	k->begin = k->first = ctx->args[1];
	k->end = ctx->args[2];
	k->at_once = ctx->args[4] < LANES ? ctx->args[4] : LANES;
	k->netns = ctx->args[5];
	k->deadline = start + ctx->args[6];
	k->now = bpf_jiffies64();
	k->wants = ctx->args[7];
	k->rows = k->nodes = k->foreign = k->expired = k->redone = k->cut = k->crowded = 0;
	k->unreadable = 0;
	LOOP(GROUPS, GROUPS, one, &c);
	k->cursor = k->begin;
	k->nanos = bpf_ktime_get_ns() - start;
	return 0;
}

#define READ(to, from) do { if (bpf_probe_read_kernel(&(to), sizeof(to), (void *)(from))) return 1; } while (0)

/*
 * Where the table is. Arguments: descriptor of an open /proc/net/nf_conntrack from which something was read; or 0 and
 * the addresses of nf_conntrack_hash and nf_conntrack_htable_size.
 */
SEC("raw_tp") int find(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0, buckets = 0;
	struct found *f = bpf_map_lookup_elem(&found, &zero);
	if (!f)
		return 1;
	u64 v = bpf_get_current_task(), number = ctx->args[0], table = 0;
	if (ctx->args[1]) {
		READ(table, ctx->args[1]);
		READ(buckets, ctx->args[2]);
	} else {
		READ(v, v + at.files);
		READ(v, v + at.fdt);
		READ(v, v + at.fd);
		READ(v, v + 8 * number);
		READ(v, v + at.private_data);
		READ(v, v + at.seq_private);
		READ(table, v + at.iterator_table);
		READ(buckets, v + at.iterator_buckets);
	}
	f->table = table;
	f->buckets = buckets;
	f->jiffies = bpf_jiffies64();
	f->nanos = bpf_ktime_get_ns();
	return 0;
}
