/* A peer of the shared-memory protocol of layout.md, version 3.0. "Lnnn" names a rule there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#include <aclapi.h>
#include <io.h>
#include <sddl.h>
typedef HANDLE Handle;
#else
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
typedef int Handle;
#endif
typedef uint8_t u8; typedef uint32_t u32; typedef uint64_t u64;
enum { FOUND, ABSENT, REFUSED, READY, NOT_READY, NO_OWNER }; /* answers of an opener */
enum { NONE, SECTION, EMPTY_SECTION, EVENT, MUTEX }; /* kinds of objects; EMPTY_: L258 */
enum { QUEUE = 1, TOPIC, VALUES, CALLS }; /* L025 KIND */
enum { EMPTY, MESSAGE, PAD, DAMAGE };     /* what a commit word says */
enum { LIVE, CLOSED, DIED, RESIZED };     /* how a generation stands */
enum { ROOT_SIZE = 16448, SLOTS = 1023, OWNER = SLOTS };
enum { R_ACCESS = 8, R_OWNER = 16, R_SPACE = 24, R_GENERATION = 28, R_OLDEST = 32 };
enum { END = 128, WATCHED = 512, CURSORS = 4096, ASLEEP = 0, PARTICIPANT_CHANGES = 128, OWNER_PARK_EPOCH = 256, OWNER_EPOCH = 260,
  OWNER_PARK_WORD = 264, GUARDED = 384, SLEEPERS = 512, NEWS = 768, NEWS_OF = 896, GUARDS = 1024 };
enum { PROCESS = 0, STATE = 8, PARK_EPOCH = 12, SLOT_EPOCH = 16, SPACE = 20, BEGINNING = 32,
  PARK_WORD = 40, START = 48, SOURCE_KEY = 64, SOURCE_END = 72, SOURCE_NUMBER = 80, INHERITED = 104,
  INHERITED_NUMBER = 112, CURSOR = 128 };
enum { ROOM = 0, EXACT = 128, RECEIVED = 136, MISSED = 144, NUMBER = 152, RESERVED = 0, SENT = 128,
  MARKS = 256, OLDEST = 496, TENURE = 384, PUBLISHER = 392, BEGUN = 416, CLOSED_AT = 432, BEFORE = 440,
  BEFORE_BEGUN = 464, RING = 512 };
#define MAGIC 0x4b4d4853u
#define VERSION 0x00030000u
#define SAME_USER 0x7445c3a493b75a05ull /* L024 */
#define LIMIT_62 (1ull << 62)
#define BIT(slot) (1ull << ((slot) & 63)) /* that of the owner: 63 */
static u32 ld32(const u8 *p) { return __atomic_load_n((const u32 *)p, __ATOMIC_ACQUIRE); }
static u64 ld64(const u8 *p) { return __atomic_load_n((const u64 *)p, __ATOMIC_ACQUIRE); }
static u64 peek(const u8 *p) { return __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED); }
static void st32(u8 *p, u32 v) { __atomic_store_n((u32 *)p, v, __ATOMIC_RELAXED); }
static void st64(u8 *p, u64 v) { __atomic_store_n((u64 *)p, v, __ATOMIC_RELAXED); }
static void sr32(u8 *p, u32 v) { __atomic_store_n((u32 *)p, v, __ATOMIC_RELEASE); }
static void sr64(u8 *p, u64 v) { __atomic_store_n((u64 *)p, v, __ATOMIC_RELEASE); }
static void add32(u8 *p, u32 v) { __atomic_fetch_add((u32 *)p, v, __ATOMIC_ACQ_REL); }
static void or32(u8 *p, u32 v) { __atomic_fetch_or((u32 *)p, v, __ATOMIC_ACQ_REL); }
static void or64(u8 *p, u64 v) { __atomic_fetch_or((u64 *)p, v, __ATOMIC_ACQ_REL); }
static void and64(u8 *p, u64 v) { __atomic_fetch_and((u64 *)p, v, __ATOMIC_ACQ_REL); }
static int cas64(u8 *p, u64 from, u64 to) { /* L006 */
  return __atomic_compare_exchange_n((u64 *)p, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
static void full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static void acquire_fence(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static void put_in(u8 *summary, u8 *words, int slot) { /* L252 */
  or64(words + slot / 64 * 8, BIT(slot)), or64(summary, BIT(slot / 64)); }
static void take_out(u8 *words, int slot) { and64(words + slot / 64 * 8, ~BIT(slot)); }
static u32 fold(u64 s) { u32 f = (u32)(s >> 32) ^ (u32)s; return f ? f : 1; } /* L078 */
static _Noreturn void fail(const char *text);
/* ---- The system: sections, events, mutexes, processes ---- */
typedef struct { int kind; Handle h; u8 *p; u64 size; char path[800]; } Obj; /* path: on Linux */
typedef struct { u32 pid; int open, dead, mutex; Handle h; const Obj *of; int byte; } Proc;
/* mutex: h is ~alive; of, byte: the life (Linux) */
typedef struct { void *page; } Life;
#ifndef _WIN32
#define OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
static void sleep_ms(int ms) { usleep((unsigned)ms * 1000); }
static u32 os_pid(void) { return (u32)getpid(); }
static int is_own(const struct stat *st) { return st->st_uid == geteuid(); }
static int obj_mine(const Obj *o) { struct stat s; return !fstat(o->h, &s) && is_own(&s); }
static void os_close(int h) { if (h >= 0) close(h); }
static u32 os_space(void) { /* L214 */
  struct stat pid, tim = { 0 };
  if (stat("/proc/self/ns/pid", &pid)) fail("L214: no /proc/self/ns/pid");
  u32 t = stat("/proc/self/ns/time", &tim) ? 0 : (u32)tim.st_ino;
  return (u32)pid.st_ino ^ (t << 16 | t >> 16); }
static void os_begin(void) { /* L215 */
  char link[32] = "";
  if (readlink("/proc/self", link, 31) < 0 || strtoul(link, NULL, 10) != os_pid())
    fail("L215: /proc does not name this process");
}
static const char *folder(void) { /* L187 L247 */
  const char *dir = getenv("SHMKIT_DIR"); return dir && *dir ? dir : "/dev/shm"; }
static void path_of(char *out, const char *name) { /* L187 L188 */
  int global = !strncmp(name, "Global\\", 7);
  if (global) out += sprintf(out, "%s/shmkit.global.", folder());
  else out += sprintf(out, "%s/shmkit.local.%u.", folder(), (unsigned)geteuid());
  name += global ? 7 : strncmp(name, "Local\\", 6) ? 0 : 6;
  for (; *name; name++) out += sprintf(out, strchr("%/", *name) ? "%%%02X" : "%c", *name); }
static int same_file(const char *path, const struct stat *st) {
  struct stat at;
  return !lstat(path, &at) && at.st_dev == st->st_dev && at.st_ino == st->st_ino; }
/* L197 L198: 1 the file was stale, 0 it is held, -1 not known. */
static int stale(int fd, const struct stat *st, const char *path) {
  int dir = -1, answer = -1;
  if (geteuid() && !is_own(st)) dir = open(folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 ? !geteuid() || is_own(st) : !flock(dir, LOCK_EX | LOCK_NB)) {
    answer = !flock(fd, LOCK_EX | LOCK_NB);
    if (answer && same_file(path, st)) unlink(path); /* L197 */
    if (answer) flock(fd, LOCK_UN); }
  os_close(dir); return answer; }
static int map(Obj *o, int fd, int kind, u64 size, int rw) {
  void *p = mmap(NULL, size, PROT_READ | (rw ? PROT_WRITE : 0), MAP_SHARED, fd, 0); /* L193 */
  if (p == MAP_FAILED) return 0;
  o->h = fd, o->kind = kind, o->p = p, o->size = size; return 1; }
static int obj_open(Obj *o, const char *name, int kind, int rw) { /* L196 */
  struct stat st;
  path_of(o->path, name); int local = strncmp(name, "Global\\", 7) != 0;
  for (int tries = 0; tries < 120; tries++) {
    int fd = open(o->path, (rw ? O_RDWR : O_RDONLY) | OPEN_FLAGS);
    if (fd < 0) return errno == ENOENT ? ABSENT : REFUSED;
    int fine = !fstat(fd, &st) && S_ISREG(st.st_mode) && (!local || is_own(&st));
    int old = fine ? stale(fd, &st, o->path) : -1;
    int held = !old && !flock(fd, LOCK_SH | LOCK_NB), there = same_file(o->path, &st);
    if (held && there && !(st.st_mode & S_ISVTX) /* L191 */ && map(o, fd, kind, (u64)st.st_size, rw))
      return FOUND;
    close(fd); if (!fine || (held && there)) return REFUSED;
    if (old > 0 && there) return ABSENT; /* L199 */
    if (tries >= 20) sleep_ms(5); }
  return REFUSED; }
static void obj_close(Obj *o) { /* L200 */
  struct stat st;
  if (!o->kind) return;
  o->kind = NONE, munmap(o->p, o->size), close(o->h); int fd = open(o->path, O_RDONLY | OPEN_FLAGS);
  if (fd >= 0 && !fstat(fd, &st)) stale(fd, &st, o->path);
  os_close(fd); }
static int obj_make(Obj *o, const char *name, int kind, u64 size) { /* L195 */
  char link[48]; int reserved = kind == EMPTY_SECTION;
  if (kind > EMPTY_SECTION) return FOUND; /* L011: on Windows only */
  kind = SECTION;
  int taken = obj_open(o, name, kind, 0), fd; obj_close(o);
  if (taken != ABSENT || (fd = open(folder(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)) < 0)
    return REFUSED;
  path_of(o->path, name), snprintf(link, sizeof link, "/proc/thread-self/fd/%d", fd);
  if (!flock(fd, LOCK_SH | LOCK_NB) && /* L192 */
    !(reserved ? ftruncate(fd, (off_t)size) : fallocate(fd, 0, 0, (off_t)size)) &&
    map(o, fd, kind, size, 1)) {
    if (!fchmod(fd, 0600) && /* L190 */
      !linkat(AT_FDCWD, link, AT_FDCWD, o->path, AT_SYMLINK_FOLLOW)) return FOUND;
    o->kind = NONE, munmap(o->p, size); }
  close(fd); return REFUSED; }
static int obj_commit(const Obj *o, u64 at, u64 size) { /* L261 */
  int failed;
  while ((failed = fallocate(o->h, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)size)) && errno == EINTR) ;
  return !failed; }
static void unpark(u8 *word, const char *event) { /* L206 L208 */
  (void)event; sr32(word, 1); syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0); }
static u64 now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t); return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec; }
/* L207: the caller asks for deaths afterwards. */
static int sleep_on(Obj *o, u8 *at, int ms, Proc **procs, int n) {
  (void)o, (void)procs, (void)n;
  for (u64 now, end = now_ns() + (u64)ms * 1000000;;) {
    u32 one = 1, *word = (u32 *)at, seen = ld32(at);
    if (__atomic_compare_exchange_n(word, &one, 0, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return 1;
    if ((now = now_ns()) >= end) return 0;
    struct timespec t = { (time_t)((end - now) / 1000000000), (long)((end - now) % 1000000000) };
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, NULL, 0); } }
static int lock_byte(int fd, int command, short kind, int byte) { /* L239: -1, or 1 if it is locked */
  struct flock f = { .l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
  return fcntl(fd, command, &f) ? -1 : f.l_type != F_UNLCK; }
static int life_begin(Life *l, const Obj *o, int byte, u64 who) { /* L240 L241 */
  char link[48]; (void)who, snprintf(link, sizeof link, "/proc/thread-self/fd/%d", o->h);
  int fd = open(link, O_RDWR | O_CLOEXEC);
  void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED || madvise(p, 1, MADV_DONTFORK)) fail("L240: no page");
  int begun = lock_byte(fd, F_OFD_SETLK, F_WRLCK, byte) >= 0; close(fd);
  if (begun && lock_byte(o->h, F_OFD_GETLK, F_RDLCK, byte) != 1) fail("L245: the lock has gone");
  if (begun) l->page = p; else munmap(p, 1);
  return begun; }
static void life_end(Life *l) { if (l->page) munmap(l->page, 1), l->page = NULL; } /* L243 */
static u64 stamp_now(void) { /* L287 */
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t); return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec; }
static int proc_start(const Proc *p, u64 *start) { /* L213 */
  char path[40], line[1024], *at; snprintf(path, sizeof path, "/proc/%u/stat", p->pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1); os_close(fd);
  line[n > 0 ? n : 0] = 0, at = strrchr(line, ')');
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  if (at) *start = strtoull(at + 1, NULL, 10);
  return at != NULL; }
static void proc_open(Proc *p, const char *mutex) { (void)mutex; p->h = -1; }
static int proc_dead(Proc *p) { /* L080 L244 */
  if (p->of && !p->dead) p->dead = !lock_byte(p->of->h, F_OFD_GETLK, F_RDLCK, p->byte);
  return p->dead; }
#else /* _WIN32 */
static void sleep_ms(int ms) { Sleep((DWORD)ms); }
static u32 os_pid(void) { return GetCurrentProcessId(); }
static u32 os_space(void) { return 0; } /* L231 */
static void os_begin(void) { _setmode(_fileno(stdout), _O_BINARY); }
static void os_close(HANDLE h) { if (h) CloseHandle(h); }
static const WCHAR *wide(const char *name) {
  static WCHAR text[300];
  if (!MultiByteToWideChar(CP_ACP, 0, name, -1, text, 300)) text[0] = 0;
  return text; }
static int token(TOKEN_INFORMATION_CLASS what, void *out, DWORD size) {
  return GetTokenInformation(GetCurrentProcessToken(), what, out, size, &size); }
/* A participant's event and mutex follow the roster and name no owner: L226 L227. */
static PSECURITY_DESCRIPTOR same_user(u32 rights, int owner) { /* L222 L223 L224 */
  union { TOKEN_USER user; TOKEN_MANDATORY_LABEL label; u8 bytes[256]; } t;
  WCHAR *sid, text[600]; PSECURITY_DESCRIPTOR sd = NULL;
  if (!token(TokenUser, &t, sizeof t) || !ConvertSidToStringSidW(t.user.User.Sid, &sid)) return sd;
  PSID label = token(TokenIntegrityLevel, &t, sizeof t) ? t.label.Label.Sid : NULL;
  u32 level = label ? *GetSidSubAuthority(label, *GetSidSubAuthorityCount(label) - 1u) : 0;
  swprintf(text, 600, L"%ls%lsD:P(A;;0x%x;;;%ls)%ls", owner ? L"O:" : L"", owner ? sid : L"",
    rights, sid, level >= SECURITY_MANDATORY_MEDIUM_RID ? L"S:(ML;;NW;;;ME)" : L"");
  ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, &sd, NULL);
  LocalFree(sid); return sd; }
static int map(Obj *o, int kind, int rw) {
  MEMORY_BASIC_INFORMATION info;
  o->p = kind == SECTION ? MapViewOfFile(o->h, rw ? 6 : 4, 0, 0, 0) : NULL, o->size = 0;
  while (o->p && VirtualQuery(o->p + o->size, &info, sizeof info) && info.AllocationBase == o->p)
    o->size += info.RegionSize; /* L262 */
  o->kind = kind != SECTION || o->p ? kind : NONE; if (!o->kind) CloseHandle(o->h);
  return o->kind ? FOUND : REFUSED; }
static int obj_open(Obj *o, const char *name, int kind, int rw) { /* L217 L228 */
  if (kind == SECTION) {
    o->h = OpenFileMappingW(rw ? 0x20007 : 0x20005, FALSE, wide(name));
    if (!o->h && GetLastError() == ERROR_ACCESS_DENIED)
      o->h = OpenFileMappingW(rw ? 6 : 4, FALSE, wide(name));
  } else { o->h = OpenEventW(EVENT_MODIFY_STATE, FALSE, wide(name)); }
  if (!o->h) return GetLastError() == ERROR_FILE_NOT_FOUND ? ABSENT : REFUSED;
  return map(o, kind, rw); }
static int obj_make(Obj *o, const char *name, int kind, u64 size) { /* L218 L219 L229 */
  DWORD memory = kind == EMPTY_SECTION ? SEC_RESERVE : SEC_COMMIT;
  if (kind == EMPTY_SECTION) kind = SECTION;
  u32 rights = kind == SECTION ? 0xf001f : kind == EVENT ? 0x1f0003 : 0x1f0001;
  SECURITY_ATTRIBUTES sa = { sizeof sa, same_user(rights, kind == SECTION), FALSE };
  if (!sa.lpSecurityDescriptor) return REFUSED;
  o->h = kind == EVENT ? CreateEventW(&sa, FALSE, FALSE, wide(name)) : kind == MUTEX ?
    CreateMutexW(&sa, TRUE, wide(name)) :
    CreateFileMappingW(INVALID_HANDLE_VALUE, &sa, PAGE_READWRITE | memory, (DWORD)(size >> 32),
    (DWORD)size, wide(name));
  int made = o->h && GetLastError() != ERROR_ALREADY_EXISTS; LocalFree(sa.lpSecurityDescriptor);
  if (!made) os_close(o->h);
  return made ? map(o, kind, 1) : REFUSED; }
static int obj_commit(const Obj *o, u64 at, u64 size) { /* L262 */
  return VirtualAlloc(o->p + at, size, MEM_COMMIT, PAGE_READWRITE) != NULL; }
static void obj_close(Obj *o) { /* L220 */
  if (o->kind == SECTION) UnmapViewOfFile(o->p);
  if (o->kind == MUTEX) ReleaseMutex(o->h);
  if (o->kind) CloseHandle(o->h);
  o->kind = NONE; }
static int obj_mine(const Obj *o) { /* L233 */
  union { TOKEN_OWNER owner; u8 bytes[256]; } t; /* TOKEN_USER begins with its SID, too. */
  PSECURITY_DESCRIPTOR sd; PSID sid;
  if (GetSecurityInfo(o->h, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &sid, NULL, NULL, NULL,
    &sd)) return 0;
  int mine = (token(TokenUser, &t, sizeof t) && EqualSid(sid, t.owner.Owner)) ||
    (token(TokenOwner, &t, sizeof t) && EqualSid(sid, t.owner.Owner));
  LocalFree(sd); return mine; }
static int took(Proc *p, DWORD answer, DWORD index) { /* L230 */
  int mine = p->mutex && (answer == index || answer == WAIT_ABANDONED_0 + index);
  if (mine) ReleaseMutex(p->h);
  return p->dead |= mine || answer == index; }
static void unpark(u8 *word, const char *event) { /* L096 L229 */
  Obj o = { 0 }; (void)word;
  if (obj_open(&o, event, EVENT, 1) == FOUND) SetEvent(o.h), obj_close(&o); }
static int sleep_on(Obj *o, u8 *word, int ms, Proc **procs, int n) { /* L229 */
  (void)word;
  HANDLE h[64] = { o->h }; Proc *of[64]; DWORD m = 1;
  for (int i = 0; i < n && m < 64; i++) if (procs[i]->open && procs[i]->h && !procs[i]->dead)
    of[m] = procs[i], h[m++] = procs[i]->h;
  DWORD r = WaitForMultipleObjects(m, h, FALSE, (DWORD)ms);
  for (DWORD i = 1; i < m; i++) took(of[i], r, i);
  return r != WAIT_TIMEOUT; }
static u64 stamp_now(void) { /* L287: a FILETIME has units of 100 ns since 1601 */
  FILETIME f; GetSystemTimePreciseAsFileTime(&f);
  return (((u64)f.dwHighDateTime << 32 | f.dwLowDateTime) - 116444736000000000ull) * 100; }
static int proc_start(const Proc *p, u64 *start) { /* L231 */
  FILETIME made, f; if (p->mutex || !p->h || !GetProcessTimes(p->h, &made, &f, &f, &f)) return 0;
  *start = (u64)made.dwHighDateTime << 32 | made.dwLowDateTime; return 1; }
static void proc_open(Proc *p, const char *mutex) { /* L082 L232 */
  p->h = OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, p->pid);
  p->dead = p->h ? GetProcessId(p->h) != p->pid : GetLastError() == ERROR_INVALID_PARAMETER;
  if (!p->h && !p->dead && mutex) p->h = OpenMutexW(SYNCHRONIZE, FALSE, wide(mutex)), p->mutex = 1;
}
static int proc_dead(Proc *p) { return p->dead ||
  (p->h && took(p, WaitForSingleObject(p->h, 0), 0)); }
#endif
/* L080 L081: 1 the process is proved dead. */
static int proc_watch(Proc *p, const Obj *of, int byte, u32 pid, u32 start, const char *mutex) {
  *p = (Proc){ .pid = pid, .open = 1, .of = of, .byte = byte }; proc_open(p, mutex);
#ifdef _WIN32
  u64 s; if (!p->dead && proc_start(p, &s)) p->dead = fold(s) != start;
#else
  (void)start;
#endif
  return proc_dead(p); }
static int word_watch(Proc *p, const Obj *of, int byte, u64 who) { /* L077 */
  return proc_watch(p, of, byte, (u32)(who >> 32), (u32)who, NULL); }
static void proc_close(Proc *p) { if (p->open) os_close(p->h), p->open = 0; }
#ifdef _WIN32
static int life_begin(Life *l, const Obj *o, int byte, u64 who) { /* L080 */
  Proc p; int free = !who; (void)l;
  if (who) free = word_watch(&p, o, byte, who), proc_close(&p);
  return free; }
static void life_end(Life *l) { (void)l; }
#endif
/* ---- Generations ---- */
typedef struct { /* checked copies of control */
  u64 ring; u32 kind, lanes, max, generation, delivery, values, value_slots, in_flight, slots,
    pid, space, extra, head;
  u64 start;
} Head;
typedef struct { /* a lane that is read; given: ROOM as stored */
  const u8 *ring; u8 *cursor; u64 pos, given, received, who; u32 slot_epoch; int taken, bad, committed, lagged;
  u64 number, tenure, told; /* of a subscriber: messages before pos; the last publisher; one reported */
  const char *left; /* how its last sender went, not printed yet */ Proc proc;
} Lane;
typedef struct {
  Obj root, control, roster, lanes, event, live; Head h; Proc owner;
  Life life, root_life; /* of the slot or the generation; of the name */
  int slot; /* -1 a looker, or OWNER */
  u32 park_epoch, end, tried, members, turn; /* end, members: the last values seen */
  u64 tail, need, room, sent, number, missed; /* number: of messages, calls or changes */
  Lane lane[SLOTS]; /* a client reads lane[0], a subscriber the lanes of all publishers */
} Gen;
typedef int Ready(Gen *);
static const char *name;
static u32 kind, follow, stamps; static char stamp[32]; /* of the last message: "@TIME " */ static int queue_count;
static u64 me, my_start; /* the process word: L077 */
static Gen *joined, *own, *queues[64]; /* L161: the own one last */
static u8 *buffer; static u64 buffer_size; /* the longest message of all generations */
static void leave(Gen *g, int keep), begin_reading(Gen *g, int again), begin_calls(Gen *g);
static int receive_earlier(u32 *len);
static _Noreturn void fail(const char *text) {
  fprintf(stderr, "peer: %s: %s\n", name ? name : "", text); if (joined) leave(joined, 0); exit(1);
}
static void print(const char *before, const void *text, size_t len) {
  fputs(before, stdout), fwrite(text, 1, len, stdout), putchar('\n'), fflush(stdout); }
static const char *with(const char *suffix, ...) { /* L012 L013 */
  static char text[800];
  va_list args; va_start(args, suffix);
  vsnprintf(text + snprintf(text, 760, "%s", name), 40, suffix, args); return text; }
static u64 up(u64 n, u64 to) { return (n + to - 1) / to * to; }
static int is_power(u32 n, u32 min, u32 max) { return n >= min && n <= max && !(n & (n - 1)); }
static int possible(u64 pos) { return pos % 8 == 0 && pos <= LIMIT_62; } /* L179 */
static u64 slot_size(const Head *h) { return up(16ull + h->max, 64); } /* L071 */
static u64 first(const Head *h) { return up(8192 + 64ull * h->values, 128); }
static u64 stride(const Head *h) { return up(128 + h->value_slots * slot_size(h), 128); }
static u64 lanes_size(const Head *h) { /* L177 */
  if (h->kind == VALUES) return first(h) + h->values * stride(h);
  return h->lanes * (512ull + h->ring) * (h->kind == CALLS ? 2 : 1); }
static u64 control_size(const Head *h) { return CURSORS + 256ull * h->lanes; }
static u64 row(const Head *h) { return h->kind == TOPIC ? up(8ull * (h->lanes - 1), 128) : 0; } /* L291 */
static u64 roster_size(const Head *h) { return 4096 + (512 + row(h)) * h->slots; }
static u8 *lane(const Gen *g, u32 i) { return g->lanes.p + i * (512ull + g->h.ring); } /* L054 */
static int commit(const Gen *g, u32 i) { /* L253 */
  return obj_commit(&g->lanes, i * (512ull + g->h.ring), 512ull + g->h.ring); }
static u8 *slot(const Gen *g, int i) { return g->roster.p + 4096 + 512 * i; }
static u8 *watched(const Gen *g, int i) { return g->control.p + WATCHED + i / 64 * 8; }
static u8 *cursor(const Gen *g, int i) { return g->control.p + CURSORS + 256 * i; }
static int writes(void) { return kind == QUEUE || kind == CALLS; }
static void fit_buffer(u64 max) {
  if (max + 64 > buffer_size && !(buffer = realloc(buffer, buffer_size = max + 64))) fail("no memory"); }
static u32 takes_of(u32 size) { /* L062 */
  u32 p = 8; while (p < size) p *= 2; return p <= 64 ? p : (u32)up(size, 8); }
static u32 takes(const Head *h, u32 len) { return takes_of(h->head + len); } /* L062 L286 */
static int is_long(const Head *h) { return (h->ring & (h->ring - 1)) != 0; } /* L280 */
static int ring_fits(const Head *h) { /* L280 */
  return is_long(h) ? h->max >= 65536 && h->ring % 64 == 0 && 3ull * takes(h, h->max) <= h->ring :
    takes(h, h->max) <= h->ring / 4; }
static void set_extra(Head *h, u32 extra) { h->extra = extra, h->head = 8 + 8 * (extra & 1); } /* L286 */
static const char *check(Head *h, const u8 *c) { /* L009: the rule that is broken, or NULL */
  u64 pid = ld64(c + 24); u32 type = ld32(c + 264);
  if (ld32(c) != MAGIC) return "L100 step 7: no MAGIC in control";
  *h = (Head){ ld64(c + 32), ld32(c + 8), ld32(c + 12), ld32(c + 64), ld32(c + 40), ld32(c + 44),
    ld32(c + 48), ld32(c + 52), ld32(c + 56), ld32(c + 60), (u32)pid, (u32)(pid >> 32), 0, 0, ld64(c + 16) };
  set_extra(h, ld32(c + 68));
  if (type > 3072 || (!type && ld64(c + 256))) return "L178: TYPE";
  if (h->kind < QUEUE || h->kind > CALLS) return "L174: KIND";
  if (h->slots < 1 || h->slots > SLOTS) return "L174: SLOTS";
  if (h->max <= 1u << 30) fit_buffer(h->max);
  if (h->kind == VALUES) return h->lanes = 0, h->values < 1 || h->values > 1 << 20 ||
    !is_power(h->value_slots, 8, 64) || h->max > 1 << 24 || lanes_size(h) > 1 << 30 ?
    "L176: control" : NULL;
  if ((h->kind == TOPIC ? h->lanes < 1 || h->lanes > h->slots : h->lanes != h->slots) || h->delivery > 1 ||
    h->ring < 1 << 12 || h->ring > 1ull << 32 || h->max > (1u << 30) - 64 || !ring_fits(h) ||
    h->extra > (h->kind != CALLS)) return "L174: control";
  u64 b = h->max + 16 > 64 ? h->max + 16 : 64, a = b * (h->in_flight + 2ull); /* L143 */
  return h->kind == CALLS && (!is_power(h->in_flight, 1, 1024) || h->ring < a + a / 7 + 1) ?
    "L175: control" : NULL;
}
static void close_sections(Gen *g) {
  Obj *all[] = { &g->event, &g->live, &g->lanes, &g->roster, &g->control };
  for (int i = 0; i < 5; i++) obj_close(all[i]); }
static void close_gen(Gen *g) {
  close_sections(g), obj_close(&g->root); for (int i = 0; i < SLOTS; i++) proc_close(&g->lane[i].proc);
  proc_close(&g->owner), free(g); }
static int ownerless(Gen *g) { return !(g->h.pid | g->h.start); } /* L330 */
static int open_gen(Gen *g) { /* L100 */
  int r = obj_open(&g->root, name, SECTION, 0); if (r == ABSENT) return NO_OWNER;
  if (r == REFUSED || g->root.size < ROOT_SIZE) fail("L100 step 2: root refused");
  u32 magic = ld32(g->root.p), n; if (!magic) return NOT_READY;
  if (magic != MAGIC) fail("L100 step 3: not a segment");
  if (ld32(g->root.p + 4) >> 16 != 3) fail("L022: another major version");
  if (!(n = ld32(g->root.p + R_GENERATION))) return NOT_READY;
  r = obj_open(&g->control, with("~control-%08x", n), SECTION, 0);
  if (r == ABSENT) return ld32(g->root.p + R_GENERATION) != n ? NOT_READY : NO_OWNER;
  if (r == REFUSED || g->control.size < CURSORS) fail("L100 step 7: control refused");
  const char *rule = check(&g->h, g->control.p); if (rule) fail(rule); g->h.generation = n;
  if (g->control.size < control_size(&g->h)) fail("L177: control refused");
  if (g->h.kind != kind) fail("L100 step 9: another kind");
  if ((!ownerless(g) && /* step 10 */
    proc_watch(&g->owner, &g->control, 0, g->h.pid, fold(g->h.start), with("~alive-%08x", n))) ||
    ld32(g->control.p + END) & 7) return ownerless(g) ? NOT_READY : NO_OWNER;
  r = obj_open(&g->lanes, with("~lanes-%08x", n), SECTION, writes());
  if (r == ABSENT) return NOT_READY;
  if (r == REFUSED || g->lanes.size < lanes_size(&g->h)) fail("L177: lanes refused");
  return READY; }
/* ---- Sleeping and waking ---- */
static u8 *park_word(Gen *g, int i) {
  return i == OWNER ? g->roster.p + OWNER_PARK_WORD : slot(g, i) + PARK_WORD; }
static void wake_one(Gen *g, int i) { /* L092 step 5, L096 */
  u32 pid = i == OWNER ? g->h.pid : (u32)(ld64(slot(g, i) + PROCESS) >> 32);
  u32 epoch = ld32(i == OWNER ? g->roster.p + OWNER_EPOCH : slot(g, i) + SLOT_EPOCH);
  unpark(park_word(g, i), with("~wake-%03x-%x-%x", i, pid, epoch)); }
static void wake(Gen *g, int i) { /* L092: a slot, or the owner */
  __atomic_signal_fence(__ATOMIC_SEQ_CST); if (!g->roster.kind) return;
  if (!(peek(g->roster.p + (i == OWNER ? ASLEEP : SLEEPERS + i / 64 * 8)) & BIT(i))) return;
  acquire_fence(), wake_one(g, i); }
static void wake_all(Gen *g) { /* L092 L260: all slots */
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  u64 summary = g->roster.kind ? peek(g->roster.p + ASLEEP) : 0; acquire_fence();
  for (int i = 0; i < (int)g->h.slots; i++)
    if (summary & BIT(i / 64) && ld64(g->roster.p + SLEEPERS + i / 64 * 8) & BIT(i)) wake_one(g, i); }
static void wake_owner(Gen *g) { if (g->slot >= 0) wake(g, OWNER); }
static void tell_owner(Gen *g) { /* L254 */
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (!(ld64(watched(g, g->slot)) >> g->slot % 64 & 1)) put_in(g->roster.p + NEWS, g->roster.p + NEWS_OF, g->slot);
  wake_owner(g); }
static int reason(Gen *g, Ready *ready) { /* L090 */
  return ld32(g->control.p + END) != g->end || ready(g); }
static void park(Gen *g, Ready *ready, int ms, Proc **procs, int n) { /* L087 L088 */
  u8 *r = g->roster.p; int i = g->slot;
  st32(i == OWNER ? r + OWNER_PARK_EPOCH : slot(g, i) + PARK_EPOCH, ++g->park_epoch);
  if (i == OWNER) or64(r + ASLEEP, BIT(i)); else put_in(r + ASLEEP, r + SLEEPERS, i);
  full_fence();
  u8 *word = park_word(g, i);
  if (!reason(g, ready) && !sleep_on(&g->event, word, 1, procs, n) && !reason(g, ready))
    sleep_on(&g->event, word, ms, procs, n);
  if (i == OWNER) and64(r + ASLEEP, ~BIT(i)); else take_out(r + SLEEPERS, i); }
static void rest(Gen *g, Ready *ready) { /* L091 L099 */
  Proc *owner = &g->owner; if (g->slot < 0) sleep_ms(1);
  else park(g, ready, 1000, &owner, !ownerless(g)); }
static int stand(Gen *g) { /* L028 L029 L111 */
  for (;;) {
    u32 end = g->end = ld32(g->control.p + END);
    if (end & 7) return end & 1 ? CLOSED : end & 4 ? RESIZED : DIED;
    if (ownerless(g)) return ld32(g->root.p + R_GENERATION) == g->h.generation ? LIVE : RESIZED; /* L331 */
    if (!proc_dead(&g->owner)) return LIVE;
    if (ld32(g->control.p + END) == end) return ld64(g->root.p + R_OWNER) ? DIED : CLOSED; } }
static int reserved(const u8 *s) { /* L315 */
  return ld64(s + SOURCE_KEY) && (ld64(s + SOURCE_END) || ld64(s + SOURCE_END + 16) || ld64(s + INHERITED)); }
/* ---- Records ---- */
static int look(const u8 *ring, const Head *h, u64 pos, u32 *len) { /* L070 L180 */
  u64 off = pos % h->ring; u32 word = ld32(ring + off); *len = word >> 2;
  if (!word) return EMPTY;
  if ((word & 3) == 1 && *len <= h->max && off + takes(h, *len) <= h->ring) return MESSAGE;
  return word == 2 && off ? PAD : DAMAGE; }
static u64 behind(const Head *h, u64 pos, int what, u32 len) { /* L063 */
  return what == PAD ? pos - pos % h->ring + h->ring : pos + takes(h, len); }
static void copy_record(const Head *h, const u8 *record, u32 len) { /* L286 L288 */
  *stamp = 0; if (h->extra & 1) sprintf(stamp, "@%" PRIu64 " ", ld64(record + 8));
  memcpy(buffer, record + h->head, len); }
static int take(Gen *g, Lane *l, u32 *len, u32 *tag) { /* L112 L113 L148 */
  int what;
  while ((what = look(l->ring, &g->h, l->pos, len)) == PAD) l->pos = behind(&g->h, l->pos, PAD, 0);
  const u8 *record = l->ring + l->pos % g->h.ring;
  if (what == MESSAGE) {
    u32 other; if (g == own && receive_earlier(&other)) return *len = other, MESSAGE; /* L161 */
    *tag = ld32(record + 4), copy_record(&g->h, record, *len);
    l->pos = behind(&g->h, l->pos, what, *len);
    st64(l->cursor + RECEIVED, ++l->received), sr64(l->cursor + EXACT, l->pos); }
  if (what == EMPTY ? l->pos != l->given : l->pos - l->given >= g->h.ring / 8)
    { sr64(l->cursor + ROOM, l->given = l->pos); if (g->slot == OWNER) wake(g, (int)(l - g->lane)); }
  return what; }
static void take_over(Gen *g) { /* L107 */
  const u8 *at = lane(g, (u32)g->slot); u32 len;
  g->tail = g->room = ld64(cursor(g, g->slot) + ROOM), g->sent = ld64(at + SENT);
  if (!possible(g->room) || g->sent > LIMIT_62) fail("L107 step 2: ROOM or SENT is damaged");
  for (int what; (what = look(at + RING, &g->h, g->tail, &len)) != EMPTY;) {
    if (what == DAMAGE || g->tail - g->room > g->h.ring) fail("L107 step 3: the lane is damaged");
    g->tail = behind(&g->h, g->tail, what, len); }
  sr64(slot(g, g->slot) + BEGINNING, g->tail); }
static int tail_in(Gen *g, int i, u64 *tail) { /* L107 step 3; 0: the lane is damaged */
  const u8 *ring = lane(g, (u32)i) + RING; u64 room = *tail = ld64(cursor(g, i) + ROOM); u32 len;
  if (!possible(room) || !commit(g, (u32)i)) return 0;
  for (int what; (what = look(ring, &g->h, *tail, &len)) != EMPTY; *tail = behind(&g->h, *tail, what, len))
    if (what == DAMAGE || *tail - room > g->h.ring) return 0;
  return 1; }
/* L319 L321: the last source number of a slot; returns the generation in which it was sent, or 0. */
static u32 last_number(Gen *g, int i, u64 *number, int *is_copy) {
  const u8 *s = slot(g, i); u64 tail, again = 1; *is_copy = 1;
  for (int tries = 0; tries < 16 && tail_in(g, i, &tail); tries++) {
    u64 last = 0;
    for (int n = 0; n < 2; n++) {
      u64 end = ld64(s + SOURCE_END + 16 * n), its = ld64(s + SOURCE_NUMBER + 16 * n);
      if (end && end <= tail + 1 && end >= last) last = end, *number = its; }
    if (!tail_in(g, i, &again) || again != tail) continue;
    *is_copy = !last; if (last) return g->h.generation;
    break; }
  u32 from = (u32)ld64(s + INHERITED); *number = ld64(s + INHERITED_NUMBER); return from; }
static int carry(Gen *to, Gen *from, int is_new) { /* L321; 0: there is no slot for a key */
  if (!from->roster.kind || from->h.kind != QUEUE || ld32(from->control.p + 264)) return 1;
  for (int i = 0; i < (int)from->h.slots; i++) {
    u8 *home = NULL; int is_copy; u64 number, key = ld64(slot(from, i) + SOURCE_KEY);
    if (!reserved(slot(from, i))) continue;
    u32 sent = last_number(from, i, &number, &is_copy), there;
    for (int j = 0; j < (int)to->h.slots && !home; j++)
      if (ld64(slot(to, j) + SOURCE_KEY) == key && reserved(slot(to, j))) home = slot(to, j);
    for (int j = 0; j < (int)to->h.slots && !home && is_new; j++)
      if (!ld64(slot(to, j) + SOURCE_KEY)) home = slot(to, j);
    if (!home && (is_new || sent)) return 0;
    if (!home || (there = (u32)ld64(home + INHERITED)) > sent || (there == sent && there && is_copy)) continue;
    sr64(home + INHERITED_NUMBER, number), sr64(home + INHERITED, 1ull << 32 | sent);
    sr64(home + SOURCE_KEY, key); }
  return 1; }
static int has_room(Gen *g) { /* L065 L108 step 4 */
  u64 room = ld64(cursor(g, g->slot) + ROOM);
  if (room <= g->tail && room >= g->room) g->room = room;
  return g->need + 8 <= g->room + g->h.ring; }
/* L063 L066 L108: LIVE when the record at *start is sent. */
static int put(Gen *g, const void *text, size_t len, u32 tag, u64 *start) {
  u8 *at = lane(g, (u32)g->slot), *ring = at + RING;
  u64 n = g->h.ring; u32 word = (u32)len << 2 | 1, size;
  if (len > g->h.max) fail("L108 step 2: the message is too long");
  size = takes(&g->h, (u32)len);
  *start = g->tail % n + size <= n ? g->tail : g->tail - g->tail % n + n;
  g->need = *start + size; if (ld32(g->control.p + END) & 7) return stand(g);
  while (g->need + 8 > g->room + g->h.ring && !has_room(g)) { /* L109 L147 */
    wake_owner(g); int how = stand(g); if (how != LIVE) return how; rest(g, has_room); }
  st32(ring + g->need % n, 0); memcpy(ring + *start % n + g->h.head, text, len);
  if (kind == CALLS) st32(ring + *start % n + 4, tag);
  if (g->h.extra & 1) st64(ring + *start % n + 8, stamp_now());
  if (*start != g->tail) st32(ring, word);
  sr32(ring + g->tail % n, *start != g->tail ? 2 : word);
  st64(at + SENT, ++g->sent), g->tail = g->need; tell_owner(g); return LIVE; }
/* ---- Joining and leaving ---- */
static void leave(Gen *g, int keep) { /* L105 */
  joined = NULL;
  if (g->slot >= 0 && g->slot < OWNER) {
    sr32(slot(g, g->slot) + STATE, 0), take_out(g->roster.p + SLEEPERS, g->slot);
    cas64(slot(g, g->slot) + PROCESS, me, 0); add32(g->roster.p + PARTICIPANT_CHANGES, 65536);
    wake_owner(g), life_end(&g->life), obj_close(&g->event), obj_close(&g->live); }
  if (!keep) close_gen(g); /* else the sections stay open until this process ends */ }
static int take_slot(Gen *g, int from, int n) { /* L104 steps 2 and 3, L316 */
  for (int tries = 0, free = 1; free && tries < 50; tries++, sleep_ms(2)) {
    for (int any = free = 0; any < 2; any++) for (int i = from; i < n; i++) {
      u8 *s = slot(g, i); u64 who = ld64(s + PROCESS); if ((who && !any) || reserved(s)) continue;
      free |= !who; if (!life_begin(&g->life, &g->roster, i, who)) continue;
      if (cas64(s + PROCESS, who, me)) {
        if (!reserved(s)) { if (ld64(s + SOURCE_KEY)) sr64(s + SOURCE_KEY, 0); return i; }
        sr32(s + STATE, 0), take_out(g->roster.p + SLEEPERS, i), cas64(s + PROCESS, me, 0);
        add32(g->roster.p + PARTICIPANT_CHANGES, 65536); }
      life_end(&g->life); } }
  return -1; }
static int enter(Gen *g, int again) { /* L104; 0: begin again */
  int r = obj_open(&g->roster, with("~roster-%08x", g->h.generation), SECTION, 1);
  if (r == ABSENT && writes()) return 0;
  if (r == FOUND && g->roster.size >= roster_size(&g->h))
    g->slot = take_slot(g, kind == TOPIC ? (int)g->h.lanes - 1 : 0, (int)g->h.slots); /* L290 */
  else if (writes()) fail("L104 step 1: roster refused");
  if (g->slot < 0 && (writes() || (r == FOUND && kind == TOPIC && g->h.delivery)))
    fail("L103: all places are taken");
  joined = g;
  if (g->slot < 0) { /* L103: a looker */
    obj_close(&g->roster), begin_reading(g, again); return 1; }
  if ((writes() && !commit(g, (u32)g->slot)) || /* L259 */
    (kind == CALLS && !commit(g, g->h.lanes + (u32)g->slot))) fail("L259: no memory for a lane");
  u8 *s = slot(g, g->slot); u32 epoch = ld32(s + SLOT_EPOCH) + 1;
  sr32(s + STATE, 0), sr32(s + SLOT_EPOCH, epoch), st32(s + SPACE, os_space()); /* step 4 */
  sr64(s + START, my_start), take_out(g->roster.p + SLEEPERS, g->slot); /* step 5 */
  obj_make(&g->live, with("~live-%03x-%x-%x", g->slot, os_pid(), epoch), MUTEX, 0);
  if (obj_make(&g->event, with("~wake-%03x-%x-%x", g->slot, os_pid(), epoch), EVENT, 128) != FOUND)
    fail("L086: cannot create the wake event");
  g->park_epoch = ld32(s + PARK_EPOCH); if (writes()) take_over(g); if (kind == CALLS) begin_calls(g);
  if (writes()) sr32(s + STATE, 1); /* step 9 */
  else begin_reading(g, again);
  add32(g->roster.p + PARTICIPANT_CHANGES, 1); if (writes()) wake_owner(g);
  full_fence(); return ld32(g->root.p + R_GENERATION) == g->h.generation; /* step 12 */ }
static Gen *join(int again) { /* NULL: there is no owner */
  for (int tries = 0; tries < 500; tries++, sleep_ms(2)) { /* L098 L101 */
    Gen *g = calloc(1, sizeof *g); g->slot = -1; int r = open_gen(g);
    if (r == READY && enter(g, again)) return g;
    leave(g, 0); if (r == NO_OWNER && !again) fail("L100: there is no owner");
    if (r == NO_OWNER) return NULL; }
  fail("L101: not ready"); }
static int other_generation(Gen *g) { return ld32(g->root.p + R_GENERATION) != g->tried; }
static Gen *reattach(Gen *g) { /* L166 L167 L168 L173 */
  Gen *n = NULL;
  for (g->tried = g->h.generation; !n; n = join(1)) {
    while (!other_generation(g)) rest(g, other_generation);
    g->tried = ld32(g->root.p + R_GENERATION); }
  leave(g, kind == QUEUE && ld64(cursor(g, g->slot) + EXACT) < g->tail); /* L170 */
  joined = n; return n; }
/* The next generation, or no return: exit code 3. */
static Gen *next_generation(Gen *g, int how) {
  if (follow || how == RESIZED) return reattach(g);
  print(how == CLOSED ? "closed" : "died", "", 0), leave(g, 0); exit(3); }
static void command_send(u32 count) {
  char text[1001]; u64 start; Gen *g = join(0);
  for (u32 i = 0; i < count; i++) {
    u32 max = g->h.max < 1000 ? g->h.max : 1000, len = (u32)sprintf(text, "peer %u", i);
    if (i % 10 == 9 && len < max) memset(text + len, '.', max - len), len = max;
    for (int how; (how = put(g, text, len, 0, &start)) != LIVE;) g = next_generation(g, how); }
  print("sent ", text, (size_t)sprintf(text, "%u", count)), leave(g, 0); }
/* ---- Receiver ---- */
static void begin_lanes(Gen *g) { /* L160 */
  for (int i = 0; i < (int)g->h.lanes; i++) {
    u8 *c = cursor(g, i);
    g->lane[i] = (Lane){ .ring = lane(g, (u32)i) + RING, .cursor = c, .pos = ld64(c + EXACT),
      .given = ld64(c + ROOM), .received = ld64(c + RECEIVED),
      .slot_epoch = g->roster.kind ? ld32(slot(g, i) + SLOT_EPOCH) : 0 };
    g->lane[i].bad = !possible(g->lane[i].pos) || g->lane[i].received > LIMIT_62; } }
static void open_earlier(u32 n) { /* L155 step 10, L158 */
  Gen *g = calloc(1, sizeof *g); g->slot = OWNER;
  if (queue_count > 60 || obj_open(&g->control, with("~control-%08x", n), SECTION, 1) != FOUND ||
    !obj_mine(&g->control) || g->control.size < CURSORS || check(&g->h, g->control.p) ||
    g->control.size < control_size(&g->h) ||
    obj_open(&g->lanes, with("~lanes-%08x", n), SECTION, 1) != FOUND ||
    g->lanes.size < lanes_size(&g->h)) {
    close_gen(g); return; }
  if (obj_open(&g->roster, with("~roster-%08x", n), SECTION, 1) == FOUND &&
    g->roster.size < roster_size(&g->h)) obj_close(&g->roster);
  g->h.generation = n, queues[queue_count++] = g; }
static void follow_earlier(Gen *g) { /* L159; a generation without lanes is dropped as finished */
  or32(g->control.p + END, ownerless(g) ? 6 : 2); /* L030 L332 */ if (g->roster.kind) or64(g->roster.p + ASLEEP, BIT(OWNER));
  full_fence(); wake_all(g);
  if (g->h.kind != QUEUE || ld32(g->control.p + 264)) g->h.lanes = 0; /* L160 */
  begin_lanes(g); }
static void take_root(Obj *o, Life *life) { /* L155 steps 2 to 5 */
  Proc p;
  for (int tries = 0; tries < 100; tries++, sleep_ms(2)) {
    if (obj_make(o, name, SECTION, ROOT_SIZE) == FOUND) {
      if (!life_begin(life, o, 0, 0)) fail("L239: the life is taken");
      st32(o->p + 4, VERSION), st64(o->p + R_ACCESS, SAME_USER), st32(o->p + R_SPACE, os_space());
      st64(o->p + R_OWNER, me), st32(o->p + R_OLDEST, 1), sr32(o->p, MAGIC); return; }
    if (obj_open(o, name, SECTION, 1) != FOUND) continue;
    u64 who = ld64(o->p + R_OWNER);
    if (!obj_mine(o) || o->size < ROOT_SIZE || ld32(o->p) != MAGIC || ld32(o->p + 4) >> 16 != 3)
      fail("L155 step 3: the name is taken");
    if (ld64(o->p + R_ACCESS) != SAME_USER) fail("L155 step 4: another access");
    int alive = who && !word_watch(&p, o, 0, who); if (who) proc_close(&p);
    if (alive && tries == 99) fail("L155 step 4: the name has an owner");
    if (alive) { obj_close(o); continue; } /* L333 */
    if (life_begin(life, o, 0, who)) {
      if (cas64(o->p + R_OWNER, who, me)) { st32(o->p + R_SPACE, os_space()); return; }
      life_end(life); }
    obj_close(o); }
  fail("L155: root cannot be created"); }
static int make_sections(Gen *g, u64 start) { /* L155 steps 7 to 9 */
  u32 n = g->h.generation;
  if (obj_make(&g->control, with("~control-%08x", n), SECTION, control_size(&g->h)) != FOUND ||
    !life_begin(&g->life, &g->control, 0, 0) ||
    obj_make(&g->roster, with("~roster-%08x", n), SECTION, roster_size(&g->h)) != FOUND ||
    obj_make(&g->lanes, with("~lanes-%08x", n), EMPTY_SECTION, lanes_size(&g->h)) != FOUND ||
    obj_make(&g->live, with("~alive-%08x", n), MUTEX, 0) != FOUND ||
    obj_make(&g->event, with("~wake-3ff-%x-%x", os_pid(), n), EVENT, 128) != FOUND) return 0;
  st32(g->roster.p + OWNER_EPOCH, n);
  for (int i = 0; i < (int)g->h.slots; i++) st32(slot(g, i) + SLOT_EPOCH, n * 65536);
  for (int i = 0; i < (int)g->h.lanes; i++) st64(watched(g, i), ~0ull); /* L263 */
  u8 *c = g->control.p;
  st32(c + 4, VERSION), st32(c + 8, QUEUE), st32(c + 12, g->h.lanes), st64(c + 16, start);
  st64(c + 24, (u64)os_space() << 32 | os_pid()), st64(c + 32, g->h.ring), st32(c + 64, g->h.max);
  st32(c + 40, n), st32(c + 44, 1), st32(c + 60, g->h.slots), st32(c + 68, g->h.extra); begin_lanes(g); return 1; }
static void become_owner(u64 start) { /* L155 */
  Gen *g = calloc(1, sizeof *g); g->slot = OWNER;
  g->h = (Head){ .kind = QUEUE, .lanes = 8, .slots = 8, .ring = 65536, .max = 1000, .pid = os_pid() };
  set_extra(&g->h, stamps), fit_buffer(g->h.max), take_root(&g->root, &g->root_life);
  u32 last = ld32(g->root.p + R_GENERATION), n = ld32(g->root.p + R_OLDEST), tries = 0;
  for (g->h.generation = last + 1; ++tries; g->h.generation++) { /* steps 6 to 9 */
    if (g->h.generation && make_sections(g, start)) break;
    life_end(&g->life), close_sections(g); if (tries < 64) continue; cas64(g->root.p + R_OWNER, me, 0); /* L156 */
    fail("L155 step 7: the sections cannot be created"); }
  for (n = last - n > 4096 ? last - 4096 : n; last && n != last + 1; n++) open_earlier(n);
  for (int i = queue_count - 1; i >= 0; i--) if (!carry(g, queues[i], 1)) {
    cas64(g->root.p + R_OWNER, me, 0); fail("L321: more source keys than slots"); }
  sr32(g->control.p, MAGIC), sr32(g->root.p + R_GENERATION, g->h.generation); /* step 11 */
  for (int i = 0; i < queue_count; i++) follow_earlier(queues[i]), carry(g, queues[i], 0); /* step 12 */
  st32(g->root.p + R_OLDEST, (queue_count ? queues[0] : g)->h.generation);
  queues[queue_count++] = own = g; }
static void look_at_slot(Gen *g, int i) { /* L116 L120 L257 */
  Lane *l = g->lane + i; u8 *s = slot(g, i); Life life = { 0 };
  if (!l->committed && (!g->roster.kind || ld32(s + SLOT_EPOCH) != g->h.generation * 65536))
    l->committed = commit(g, (u32)i);
  if (!g->roster.kind) return;
  int taken = ld32(s + STATE) == 1; u64 who = ld64(s + PROCESS); u32 slot_epoch = ld32(s + SLOT_EPOCH);
  taken = taken && who;
  if (l->taken ? !taken || who != l->who || slot_epoch != l->slot_epoch : !who && slot_epoch != l->slot_epoch)
    l->taken = 0, l->left = "left closed", proc_close(&l->proc);
  if (taken && !l->taken) word_watch(&l->proc, &g->roster, i, who);
  if (taken || !who) l->slot_epoch = slot_epoch;
  l->taken = taken, l->who = who;
  if (!taken || !proc_dead(&l->proc) || !life_begin(&life, &g->roster, i, who)) return;
  if (cas64(s + PROCESS, who, 0)) { /* L106 */
    l->left = "left died", l->taken = 0, proc_close(&l->proc); add32(g->roster.p + PARTICIPANT_CHANGES, 65536);
  }
  life_end(&life); }
static int receive(Gen *g, u32 *len) { /* L115 L118 L121: one message of the lanes in turn */
  for (u32 k = 0, tag; k < g->h.lanes; k++) {
    Lane *l = &g->lane[g->turn = (g->turn + 1) % g->h.lanes];
    int what = l->bad || !l->committed ? EMPTY : take(g, l, len, &tag); if (what == MESSAGE) return 1;
    if (what == DAMAGE) l->bad = 1, fprintf(stderr, "peer: L121: lane %u is damaged\n", g->turn);
    if (l->left) print(l->left, "", 0);
    l->left = NULL; }
  return 0; }
static int receive_earlier(u32 *len) {
  for (int i = 0; i < queue_count - 1; i++) if (receive(queues[i], len)) return 1;
  return 0; }
static int something_came(Gen *g) {
  u32 len, came = g->roster.kind && ld32(g->roster.p + PARTICIPANT_CHANGES) != g->members;
  for (u32 i = 0; i < g->h.lanes && !came; i++) came = !g->lane[i].bad &&
    g->lane[i].committed && look(g->lane[i].ring, &g->h, g->lane[i].pos, &len) != EMPTY;
  for (int q = 0; g == own && q < queue_count - 1 && !came; q++)
    came |= (u32)something_came(queues[q]);
  return (int)came; }
static int receive_all(u32 *len) { /* L053 L117: a look at all slots and all lanes */
  for (int q = 0; q < queue_count; q++) {
    Gen *g = queues[q]; if (g->roster.kind) g->members = ld32(g->roster.p + PARTICIPANT_CHANGES);
    for (int i = 0; i < (int)g->h.lanes; i++) look_at_slot(g, i);
  }
  if (receive_earlier(len) || receive(own, len)) return 1;
  for (int q = queue_count - 2; q >= 0; q--) {
    int busy = 0; /* L118: all lanes were found empty after the look at the slots. */
    for (u32 i = 0; i < queues[q]->h.lanes; i++) busy |= queues[q]->lane[i].taken;
    if (busy || !carry(own, queues[q], 0)) continue;
    close_gen(queues[q]);
    memmove(queues + q, queues + q + 1, (size_t)(--queue_count - q) * sizeof *queues); }
  return 0; }
static void wait_for_messages(void) { /* L098 L120 L162 */
  Proc *procs[63]; int n = 0;
  for (int q = 0; q < queue_count; q++) for (u32 i = 0; i < queues[q]->h.lanes && n < 63; i++)
    if (queues[q]->lane[i].taken) procs[n++] = &queues[q]->lane[i].proc;
  park(own, something_came, queue_count > 1 ? 100 : 1000, procs, n); }
static void command_recv(u32 count, u64 start) {
  become_owner(start); print("ready", "", 0);
  for (u32 len; count;) {
    int news = ld32(own->roster.p + PARTICIPANT_CHANGES) != own->members;
    if ((!news && (receive_earlier(&len) || receive(own, &len))) || receive_all(&len))
      print(stamp, buffer, len), count--;
    else wait_for_messages(); }
  if (!(ld32(own->control.p + END) & 7)) or32(own->control.p + END, 1); /* L030 L165 */
  full_fence(); wake_all(own); cas64(own->root.p + R_OWNER, me, 0), life_end(&own->root_life);
  for (int q = 0; q < queue_count; q++) close_gen(queues[q]); }
/* ---- Subscriber ---- */
/* L128: the mark with the smallest position from `from` on, else the last one; 0: none is valid. */
static int pick_mark(Gen *g, u32 i, u64 from, u64 *pos, u64 *number) {
  const u8 *at = lane(g, i); int found = 0;
  for (int k = 0; k < 8 + is_long(&g->h); k++) { /* L284 */
    int where = k < 8 ? MARKS + 16 * k : OLDEST;
    u64 p = ld64(at + where), n = ld64(at + where + 8); acquire_fence();
    if (ld64(at + where) != p || !possible(p) || n > LIMIT_62 || n < g->lane[i].number) continue;
    acquire_fence(); if (p + g->h.ring < ld64(at + RESERVED)) continue;
    if (!found || (*pos >= from ? p >= from && p < *pos : p > *pos)) found = 1, *pos = p,
      *number = n;
  }
  return found; }
static u8 *room(Gen *g, u32 i) { /* L291 */
  return i ? g->roster.p + 4096 + 512ull * g->h.slots + row(&g->h) * (u64)g->slot + 8ull * (i - 1)
    : slot(g, g->slot) + CURSOR + ROOM; }
static void give(Gen *g, u32 i) { /* L097 */
  Lane *l = g->lane + i; sr64(room(g, i), l->given = l->pos), wake(g, i ? (int)i - 1 : OWNER); }
static int settle(Gen *g) { /* L133 steps 2 and 3; 0: begin elsewhere */
  Lane *l = g->lane; if (!l->cursor) return 1;
  g->number = 0; int safe = 1;
  for (u32 i = 0; i < g->h.lanes; i++) give(g, i), g->number += l[i].number;
  sr64(l->cursor + EXACT, l->pos), st64(l->cursor + NUMBER, g->number);
  if (!g->h.delivery) return 1;
  sr32(slot(g, g->slot) + STATE, 1); full_fence();
  for (u32 i = 0; i < g->h.lanes; i++) safe &= ld64(lane(g, i) + RESERVED) <= l[i].pos + g->h.ring;
  if (!safe) sr32(slot(g, g->slot) + STATE, 2);
  return safe; }
static u64 go_on(Gen *g, u32 i, u64 back) { /* L132 L284: how many were missed in this lane */
  Lane *l = g->lane + i; u64 pos = 0, number = 0, before = l->number;
  if (is_long(&g->h) && !l->lagged) back = g->h.ring;
  l->lagged = 1;
  u64 reserved = ld64(lane(g, i) + RESERVED);
  while (!pick_mark(g, i, reserved > back ? reserved - back : 0, &pos, &number)) sleep_ms(1);
  l->pos = pos, l->number = number, settle(g);
  if (g->lane->cursor) st64(g->lane->cursor + MISSED, g->missed += number - before);
  return number - before; }
static void begin_reading(Gen *g, int again) { /* L129 L171 */
  if (kind == VALUES) return;
  u8 *c = g->slot >= 0 ? slot(g, g->slot) + CURSOR : NULL; g->turn = 0;
  for (u32 i = 0; i < g->h.lanes; i++) g->lane[i] = (Lane){ .ring = lane(g, i) + RING, .cursor = c };
  if (c) st64(c + RECEIVED, 0), st64(c + MISSED, 0);
  if (again && settle(g)) return;
  do for (u32 i = 0; i < g->h.lanes; i++) go_on(g, i, again ? g->h.ring / 2 : g->h.ring);
  while (!settle(g));
  if (c && !again) st64(c + MISSED, g->missed = 0); }
static void note_read(Gen *g, Lane *l, int what) { /* L113 L133 steps 4 and 5 */
  if (what == MESSAGE) st64(l->cursor + RECEIVED, ++g->lane->received),
    st64(l->cursor + NUMBER, g->number), sr64(l->cursor + EXACT, g->lane->pos);
  if (what == MESSAGE ? l->pos - l->given >= g->h.ring / 8 : l->pos != l->given)
    give(g, (u32)(l - g->lane));
}
/* L295 L297 L298: reports the end of the publisher before the record at the position, or, at an empty
 * word, of the publisher that has closed. This program does not ask whether publishers have died. */
static void look_at_publisher(Gen *g, Lane *l, int what) {
  const u8 *at = lane(g, (u32)(l - g->lane)); u64 tenure = ld64(at + TENURE);
  if (!tenure || tenure & 1) return;
  u64 now = ld64(at + BEGUN), had = ld64(at + BEFORE), before = ld64(at + BEFORE_BEGUN);
  u64 closed = ld64(at + CLOSED_AT); acquire_fence();
  if (ld64(at + TENURE) != tenure || l == g->lane) return; /* the end of the owner: stand() */
  u64 sends = l->pos >= now ? tenure : had && l->pos >= before ? tenure - 2 : l->tenure;
  int is_new = sends != l->tenure && l->tenure, is_over = what == EMPTY && sends == closed;
  if (is_new && l->told != l->tenure) l->told = l->tenure, print("gone", "", 0);
  u32 len; l->tenure = sends;
  if (is_over && l->told != sends && look(l->ring, &g->h, l->pos, &len) == EMPTY)
    l->told = sends, print("gone", "", 0); }
/* L131: 1 a message or, where *missed is not 0, a gap; 0 nothing. */
static int next_in(Gen *g, Lane *l, u32 *len, u64 *missed) {
  for (const u8 *reserved = lane(g, (u32)(l - g->lane)) + RESERVED;;) {
    u8 *state = l->cursor && g->h.delivery ? slot(g, g->slot) + STATE : NULL;
    int what = look(l->ring, &g->h, l->pos, len); if (what != PAD) look_at_publisher(g, l, what);
    if (what == MESSAGE) copy_record(&g->h, l->ring + l->pos % g->h.ring, *len);
    acquire_fence();
    if (ld64(reserved) > l->pos + g->h.ring) { /* L130 */
      if (state && ld32(state) == 1 && stand(g) == LIVE) continue; /* L134 */
      if ((*missed = go_on(g, (u32)(l - g->lane), g->h.ring / 2))) return 1;
      continue; }
    if (what == DAMAGE) fail("L131: the ring is damaged");
    if (what != EMPTY) l->pos = behind(&g->h, l->pos, what, *len);
    g->number += what == MESSAGE, l->number += what == MESSAGE, l->lagged &= what != MESSAGE;
    if (what != PAD && l->cursor) note_read(g, l, what);
    if (state && ld32(state) == 2) settle(g); /* L133 step 6 */
    if (what != PAD) return what == MESSAGE; } }
static int next_message(Gen *g, u32 *len, u64 *missed) {
  for (u32 n = 0; n < g->h.lanes; n++, g->turn++)
    if (next_in(g, g->lane + g->turn % g->h.lanes, len, missed)) return 1;
  return 0; }
static int word_there(Gen *g) {
  u32 len, there = 0;
  for (u32 i = 0; i < (kind == TOPIC ? g->h.lanes : 1); i++)
    there |= look(g->lane[i].ring, &g->h, g->lane[i].pos, &len) != EMPTY;
  return (int)there; }
static int other_publishers(Gen *g) { /* whether one of the other publishers has not closed */
  int open = 0;
  for (u32 i = 1; i < g->h.lanes; i++)
    open |= ld64(lane(g, i) + TENURE) != ld64(lane(g, i) + CLOSED_AT);
  return open; }
static void command_subscribe(u32 count) {
  Gen *g = join(0); u32 len; print("ready", "", 0);
  for (int how = LIVE; count;) {
    u64 missed = 0;
    if (next_message(g, &len, &missed)) {
      if (missed) *stamp = 0, len = (u32)sprintf((char *)buffer, "missed %" PRIu64, missed);
      print(stamp, buffer, len), count--;
    } else if (how != LIVE && other_publishers(g) && !other_generation(g)) sleep_ms(1);
    else if (how != LIVE) g = next_generation(g, how), how = LIVE; /* L135 */
    else if ((how = stand(g)) == LIVE) rest(g, word_there);
    else g->tried = g->h.generation; }
  leave(g, 0); }
/* ---- Values ---- */
static u8 *value(Gen *g, u32 i) { return g->lanes.p + first(&g->h) + stride(&g->h) * i; } /* L073 */
static u64 read_value(Gen *g, u32 i, u32 *len) { /* L137: its number, 0: not set */
  for (;;) {
    u64 n = ld64(value(g, i));
    const u8 *s = value(g, i) + 128 + slot_size(&g->h) * (n & (g->h.value_slots - 1));
    if (!n) return 0;
    *len = ld32(s + 8); if (*len <= g->h.max) memcpy(buffer, s + 16, *len); acquire_fence();
    if (ld64(s) != 2 * n) continue;
    if (*len > g->h.max) fail("L183: a value is too long");
    return n; } }
static int is_utf8(const u8 *s, u32 n) {
  for (u32 i = 0, more; i < n; i += more + 1) {
    u32 c = s[i], next = i + 1 < n ? s[i + 1] : 0; more = (c >= 0xc2) + (c >= 0xe0) + (c >= 0xf0);
    if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || i + more >= n || (c == 0xe0 && next < 0xa0) ||
      (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
      (c == 0xf4 && next > 0x8f)) return 0;
    for (u32 k = 1; k <= more; k++) if (s[i + k] >> 6 != 2) return 0; }
  return 1; }
static const char *key(const Gen *g, u32 i, const char *after) { /* L183 */
  static char text[80];
  const u8 *at = g->lanes.p + 8192 + 64 * i; u32 n = *at > 63 ? 63 : *at;
  sprintf(text, "%.*s%s", is_utf8(at + 1, n) ? (int)n : 0, (const char *)at + 1, after);
  return text; }
static void command_get(const char *wanted) {
  Gen *g = join(0); u32 i = 0, len = 0;
  if (!wanted && g->h.values != 1) fail("the table needs a KEY");
  while (wanted && i < g->h.values && strcmp(key(g, i, ""), wanted)) i++;
  if (i == g->h.values) fail("there is no value of that name");
  u64 n = read_value(g, i, &len); if (n) print("", buffer, len); leave(g, 0); exit(n ? 0 : 4); }
static u64 guard_word(const Gen *g, u32 i, u64 n) { /* L303 */
  u64 epoch = ld32(g->roster.p + 4096 + 512 * g->slot + SLOT_EPOCH) & 0xffff;
  return epoch << 48 | (u64)g->slot << 32 | (u64)i << 8 | ((n & (g->h.value_slots - 1)) + 1); }
static int take_guard(Gen *g, u64 word) { /* L304, without those of readers that are gone */
  for (u32 i = 0; i < g->h.value_slots - 2; i++)
    if (cas64(g->roster.p + GUARDS + 8 * i, 0, word)) return or64(g->roster.p + GUARDED, BIT(i)), (int)i;
  return -1; }
static void command_hold(const char *wanted) { /* L306 L305: prints a value, and once more later */
  Gen *g = join(0); u32 i = 0, len = 0; int guard = -1; u64 n;
  while (wanted && i < g->h.values && strcmp(key(g, i, ""), wanted)) i++;
  if (i == g->h.values || g->slot < 0) fail("there is no value of that name, or no slot");
  const u8 *s; u8 *word;
  do {
    if (!(n = ld64(value(g, i)))) exit(4);
    if (guard < 0 && (guard = take_guard(g, guard_word(g, i, n))) < 0) fail("L304: no guard is free");
    sr64(word = g->roster.p + GUARDS + 8 * guard, guard_word(g, i, n)), full_fence();
    s = value(g, i) + 128 + slot_size(&g->h) * (n & (g->h.value_slots - 1));
  } while ((ld64(value(g, i)) - n) % g->h.value_slots >= g->h.value_slots / 4 || ld64(s) != 2 * n);
  if ((len = ld32(s + 8)) > g->h.max) fail("L183: a value is too long");
  memcpy(buffer, s + 16, len), print("", buffer, len); fgetc(stdin);
  memcpy(buffer, s + 16, len), print("", buffer, len);
  and64(g->roster.p + GUARDED, ~BIT(guard)), cas64(word, guard_word(g, i, n), 0);
  leave(g, 0); exit(0); }
static int changed(Gen *g) { return ld64(g->lanes.p) != g->number; }
static u32 print_change(Gen *g, u32 i, u64 *last) { /* unless it was printed last time */
  u32 len; u64 n = read_value(g, i, &len); if (n != last[i]) print(key(g, i, "="), buffer, len);
  return n != last[i] ? last[i] = n, 1 : 0; }
static u32 print_changes(Gen *g, u64 *last) { /* L139 */
  u64 s = g->number, now = ld64(g->lanes.p); u32 i = ld32(g->lanes.p + 128 + 4 * (s & 1023)), n = 0;
  acquire_fence();
  if (ld64(g->lanes.p) - s < 1024 && i < g->h.values) return g->number++, print_change(g, i, last);
  for (i = 0, g->number = now; i < g->h.values; i++) n += print_change(g, i, last);
  return n; }
static void command_watch(u32 count) {
  Gen *g = join(0); u64 *last = calloc(1 << 20, sizeof *last);
  g->number = ld64(g->lanes.p); /* L140 */
  for (u32 i = 0; i < g->h.values; i++) last[i] = ld64(value(g, i));
  print("ready", "", 0);
  for (u32 done = 0, how = LIVE; done < count;) {
    if (changed(g)) done += print_changes(g, last);
    else if (how != LIVE) { /* L172 L140 */
      g = next_generation(g, (int)how), how = LIVE, memset(last, 0, 8u << 20);
      g->number = ld64(g->lanes.p);
      for (u32 i = 0; i < g->h.values; i++) done += print_change(g, i, last);
    } else if ((how = (u32)stand(g)) == LIVE) rest(g, changed); }
  free(last), leave(g, 0); }
/* ---- Calls ---- */
static void begin_calls(Gen *g) { /* L145 */
  u8 *c = slot(g, g->slot) + CURSOR; Lane *l = g->lane;
  *l = (Lane){ .ring = lane(g, g->h.lanes + (u32)g->slot) + RING, .cursor = c,
    .pos = ld64(c + EXACT), .received = ld64(c + RECEIVED), .given = ld64(c + ROOM) };
  u64 begin = l->pos; u32 len, tag; g->number = ld64(c + NUMBER);
  if (!possible(l->pos) || l->received > LIMIT_62) fail("L145 step 2: the cursor is damaged");
  for (int what; (what = take(g, l, &len, &tag)) != EMPTY;)
    if (what == DAMAGE || l->pos - begin > g->h.ring) fail("L145 step 2: the lane is damaged");
  sr64(slot(g, g->slot) + BEGINNING, g->tail); }
static int take_response(Gen *g, u32 tag, u32 *len, int *none) { /* L148 */
  u32 got;
  for (int what; (what = take(g, g->lane, len, &got)) != EMPTY;) {
    if (what == DAMAGE) fail("L148: the lane of responses is damaged");
    *none = got >> 31; if ((got & 0x7fffffff) == tag) return 1; }
  return 0; }
static int call(Gen *g, const char *text, u32 *len, int *none) { /* L141 L146 L149 L150 */
  u64 at; int how = stand(g); if (how != LIVE || g->end & 8) return how == LIVE ? CLOSED : how;
  st64(slot(g, g->slot) + CURSOR + NUMBER, ++g->number);
  u32 n = g->h.in_flight, tag = ((u32)g->number * n | (g->number & (n - 1))) & 0x7fffffff;
  if ((how = put(g, text, strlen(text), tag, &at)) != LIVE) return how;
  while (!take_response(g, tag, len, none)) {
    if ((how = stand(g)) != LIVE) return take_response(g, tag, len, none) ? LIVE : how;
    if (g->end & 8 && at >= ld64(cursor(g, g->slot) + EXACT)) return CLOSED;
    rest(g, word_there); }
  return LIVE; }
static void command_call(char **texts) {
  Gen *g = join(0); int failed = 0, none = 0, how;
  for (u32 len; *texts; texts++) {
    if ((how = call(g, *texts, &len, &none)) != LIVE) g = next_generation(g, how);
    if (how == LIVE && !none) print("", buffer, len);
    else failed = 1, fprintf(stderr, "peer: %s: %s\n", how == LIVE ? "L144: no answer" :
      "L150: the call ended with its server", *texts);
  }
  leave(g, 0); exit(failed); }
static void check_name(void) { /* L014 L015; a character beyond 16 bits has two units */
  u32 units = 0;
  const char *x = name + (strncmp(name, "Local\\", 6) ? strncmp(name, "Global\\", 7) ? 0 : 7 : 6);
  if (!*x || strchr(x, '\\') || *name == '/') fail("L015: no name");
  for (x = name; *x; x++) units += ((u8)*x >> 6 != 2) + ((u8)*x >= 0xf0);
  if (units > 232) fail("L014: the name is too long"); }
int main(int argc, char **argv) {
  Proc self; u64 start = 0; follow = argc > 1 && !strcmp(argv[1], "--follow");
  stamps = argc > 1 && !strcmp(argv[1], "--stamps");
  if ((argc -= follow + stamps) < 3) fail("peer [--follow | --stamps] send|recv|subscribe|get|hold|watch|call NAME ...");
  argv += follow + stamps, name = argv[2]; u32 count = argc > 3 ? (u32)strtoul(argv[3], NULL, 10) : 0;
  os_begin(), check_name(); proc_watch(&self, NULL, 0, os_pid(), 0, NULL);
  if (!proc_start(&self, &start)) fail("L077: no start time");
  me = (u64)os_pid() << 32 | fold(start), my_start = start;
  kind = !strcmp(argv[1], "subscribe") ? TOPIC : !strcmp(argv[1], "call") ? CALLS :
    !strcmp(argv[1], "get") || !strcmp(argv[1], "hold") || !strcmp(argv[1], "watch") ? VALUES : QUEUE;
  if (!strcmp(argv[1], "send")) command_send(count);
  else if (!strcmp(argv[1], "recv")) command_recv(count, start);
  else if (!strcmp(argv[1], "watch")) command_watch(count);
  else if (!strcmp(argv[1], "hold")) command_hold(argv[3]);
  else if (kind == TOPIC) command_subscribe(count);
  else if (kind == VALUES) command_get(argv[3]);
  else if (kind == CALLS) command_call(argv + 3);
  else fail("an unknown command");
  return 0; }
