/* A program for the inside of a container: it makes one system call and says what came of it.
 *
 *   probe call NUMBER [ARGUMENT...]    prints the result
 *   probe trap NUMBER [ARGUMENT...]    prints what SIGSYS tells, then the result
 *   probe thread NUMBER [ARGUMENT...]  makes the call in a second thread, waits for its end, prints "lives"
 *   probe trace NUMBER [ARGUMENT...]   makes the call in a child that it traces; prints the tracer's event first
 *
 * And for the outside, where standard input is the listener of a seccomp agent (only for 64 bits):
 *
 *   probe hear                         waits for a call, and prints what the kernel tells of it
 *   probe answer ID VALUE ERRNO FLAGS  answers it; prints the result
 *
 * Needs no library: cc -nostdlib -static, for 64 bits, and for 32 with -m32.
 */
typedef unsigned long word;

#ifdef __x86_64__
enum { WRITE = 1, RT_SIGACTION = 13, IOCTL = 16, GETPID = 39, CLONE = 56, FORK = 57, WAIT4 = 61, KILL = 62, PTRACE = 101,
       FUTEX = 202, EXIT_GROUP = 231 };
enum { SIGSYS_CALL = 24, SIGSYS_ARCH = 28 };
static long call(word n, const word a[6])
{
	long result;
	register word r10 asm("r10") = a[3], r8 asm("r8") = a[4], r9 asm("r9") = a[5];
	asm volatile("syscall" : "=a"(result) : "0"(n), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return result;
}
/* Begins a thread, which is at its end when *alive is 0. */
static long begin(void (*body)(void), word *top, int *alive)
{
	long result;
	register int *r10 asm("r10") = alive;
	*--top = (word)body;
	/* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, PARENT_SETTID, CHILD_CLEARTID */
	asm volatile("syscall\n test %%rax, %%rax\n jnz 1f\n pop %%rax\n call *%%rax\n hlt\n1:"
		     : "=a"(result) : "0"((long)CLONE), "D"(0x350f00L), "S"(top), "d"(alive), "r"(r10)
		     : "rcx", "r11", "memory");
	return result;
}
asm(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n"
    "restore: mov $15, %eax\n syscall\n");
#else
enum { WRITE = 4, RT_SIGACTION = 174, IOCTL = 54, GETPID = 20, FORK = 2, WAIT4 = 114, KILL = 37, PTRACE = 26,
       FUTEX = 240, EXIT_GROUP = 252 };
enum { SIGSYS_CALL = 16, SIGSYS_ARCH = 20 };
word sixth;
static long call(word n, const word a[6])
{
	long result;
	sixth = a[5];
	asm volatile("push %%ebp\n mov sixth, %%ebp\n int $0x80\n pop %%ebp"
		     : "=a"(result) : "0"(n), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "memory");
	return result;
}
static long begin(void (*body)(void), word *top, int *alive)
{
	(void)body, (void)top, (void)alive;
	return -38;
}
asm(".globl _start\n_start: mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n push %eax\n call start\n"
    "restore: mov $173, %eax\n int $0x80\n");
#endif

static long do_call(word n, word a, word b, word c, word d)
{
	word args[6] = { a, b, c, d, 0, 0 };
	return call(n, args);
}

static void end(int code)
{
	for (;;)
		do_call(EXIT_GROUP, code, 0, 0, 0);
}

static void print(const char *text, long number)
{
	char line[80], digits[24];
	int length = 0, count = 0;
	word n = number < 0 ? -(word)number : (word)number;
	while (*text)
		line[length++] = *text++;
	if (number < 0)
		line[length++] = '-';
	do
		digits[count++] = '0' + n % 10;
	while (n /= 10);
	while (count)
		line[length++] = digits[--count];
	line[length++] = '\n';
	do_call(WRITE, 1, (word)line, length, 0);
}

/* Decimal, or hexadecimal with 0x; a minus before either. */
static word number(const char *text)
{
	word value = 0, base = 10, minus = *text == '-';
	text += minus;
	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (; *text; text++)
		value = value * base + (*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return minus ? -value : value;
}

static word what;
static word with[6];

static void on_sigsys(int signal, const char *info)
{
	print("signal ", signal);
	print("errno ", *(const int *)(info + 4));
	print("code ", *(const int *)(info + 8));
	print("call ", *(const int *)(info + SIGSYS_CALL));
	print("arch ", *(const unsigned *)(info + SIGSYS_ARCH));
}

extern char restore[];

static void trap(void)
{
	struct { word handler, flags, restorer, mask[2]; } action;
	action.handler = (word)on_sigsys;
	action.flags = 0x04000004; /* SA_RESTORER | SA_SIGINFO */
	action.restorer = (word)restore;
	action.mask[0] = action.mask[1] = 0;
	do_call(RT_SIGACTION, 31, (word)&action, 0, 8);
	print("result ", call(what, with));
}

static int alive = -1;

static void in_thread(void)
{
	call(what, with);
	print("returned ", 0);
	end(0);
}

static void thread(void)
{
	static word stack[4096] __attribute__((aligned(16)));
	long tid = begin(in_thread, stack + 4096, &alive);
	if (tid < 0) {
		print("no thread ", tid);
		end(1);
	}
	while (*(volatile int *)&alive)
		do_call(FUTEX, (word)&alive, 0, tid, 0);
	print("lives ", 1);
}

static void trace(void)
{
	int status = 0;
	word message = 0;
	long child = do_call(FORK, 0, 0, 0, 0);
	if (child == 0) {
		do_call(PTRACE, 0, 0, 0, 0); /* TRACEME */
		do_call(KILL, do_call(GETPID, 0, 0, 0, 0), 19, 0, 0);
		print("result ", call(what, with));
		end(0);
	}
	do_call(WAIT4, child, (word)&status, 0, 0);
	do_call(PTRACE, 0x4200, child, 0, 0x80); /* SETOPTIONS: TRACESECCOMP */
	do_call(PTRACE, 7, child, 0, 0); /* CONT */
	do_call(WAIT4, child, (word)&status, 0, 0);
	if (status >> 8 == (5 | 7 << 8)) { /* SIGTRAP, EVENT_SECCOMP */
		do_call(PTRACE, 0x4201, child, 0, (word)&message); /* GETEVENTMSG */
		print("event ", message);
		do_call(PTRACE, 7, child, 0, 0);
		do_call(WAIT4, child, (word)&status, 0, 0);
	}
}

/* linux/seccomp.h */
static void hear(void)
{
	static struct {
		unsigned long long id;
		unsigned pid, flags;
		int call;
		unsigned arch;
		unsigned long long at, arguments[6];
	} heard;
	long result = do_call(IOCTL, 0, 0xc0502100, (word)&heard, 0); /* NOTIF_RECV */
	int i;
	if (result) {
		print("error ", result);
		end(1);
	}
	print("id ", heard.id);
	print("pid ", heard.pid);
	print("call ", heard.call);
	for (i = 0; i < 6; i++)
		print("argument ", heard.arguments[i]);
}

static void answer(void)
{
	struct {
		unsigned long long id;
		long long value;
		int error;
		unsigned flags;
	} said = { what, with[0], with[1], with[2] };
	print("", do_call(IOCTL, 0, 0xc0182101, (word)&said, 0)); /* NOTIF_SEND */
}

static int is(const char *text, const char *other)
{
	while (*text && *text == *other)
		text++, other++;
	return *text == *other;
}

static void just_call(void)
{
	print("", call(what, with));
}

void start(word *stack)
{
	static const struct { const char *name; void (*body)(void); } modes[] = {
		{ "call", just_call }, { "trap", trap }, { "thread", thread }, { "trace", trace },
		{ "hear", hear }, { "answer", answer },
	};
	word count = stack[0], i;
	char **args = (char **)(stack + 1);
	what = count > 2 ? number(args[2]) : 0;
	for (i = 0; i + 3 < count && i < 6; i++)
		with[i] = number(args[i + 3]);
	for (i = 0; count > 1 && i < sizeof(modes) / sizeof(*modes); i++) {
		if (is(args[1], modes[i].name)) {
			modes[i].body();
			end(0);
		}
	}
	end(2);
}
