/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/seccomp: a list of what is refused, not of what is allowed: libraries may change what they call, an attacker's wishes
 * are the same each year. EPERM rather than death: a library that probes goes on.
 */
#include "config.h"

#include "app/seccomp.h"

#include <errno.h>
#include <seccomp.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

int app_seccomp_load(enum app_role role)
{
	return 0; /* leak checkers use ptrace */
}

#else

#define ALL ((1u << APP_ENGINE) | (1u << APP_MEDIA) | (1u << APP_ADMIN))
#define NOT_MEDIA ((1u << APP_ENGINE) | (1u << APP_ADMIN))

/* bpf: media will write flow entries into the supervisor's maps. */
static const struct { const char *name; unsigned roles; } refused[] = {
	{ "execve", ALL }, { "execveat", ALL }, { "fork", ALL }, { "vfork", ALL },
	{ "ptrace", ALL }, { "process_vm_readv", ALL }, { "process_vm_writev", ALL }, { "pidfd_getfd", ALL }, { "kcmp", ALL },
	{ "mount", ALL }, { "umount2", ALL }, { "pivot_root", ALL }, { "chroot", ALL }, { "move_mount", ALL }, { "open_tree", ALL },
	{ "fsopen", ALL }, { "fsmount", ALL }, { "mount_setattr", ALL }, { "setns", ALL }, { "unshare", ALL },
	{ "kexec_load", ALL }, { "kexec_file_load", ALL }, { "init_module", ALL }, { "finit_module", ALL }, { "delete_module", ALL },
	{ "reboot", ALL }, { "swapon", ALL }, { "swapoff", ALL }, { "acct", ALL }, { "quotactl", ALL }, { "iopl", ALL }, { "ioperm", ALL },
	{ "settimeofday", ALL }, { "clock_settime", ALL }, { "adjtimex", ALL }, { "clock_adjtime", ALL }, { "sethostname", ALL }, { "setdomainname", ALL },
	{ "bpf", NOT_MEDIA }, { "perf_event_open", ALL }, { "userfaultfd", ALL }, { "io_uring_setup", ALL },
	{ "keyctl", ALL }, { "add_key", ALL }, { "request_key", ALL }, { "open_by_handle_at", ALL }, { "name_to_handle_at", ALL },
	{ "fanotify_init", ALL }, { "lookup_dcookie", ALL }, { "personality", ALL }, { "syslog", ALL }, { "vhangup", ALL },
	{ "setuid", ALL }, { "setgid", ALL }, { "setreuid", ALL }, { "setregid", ALL }, { "setresuid", ALL }, { "setresgid", ALL },
	{ "setgroups", ALL }, { "capset", ALL },
	/* media works on the sockets that it was given */
	{ "listen", 1u << APP_MEDIA }, { "accept", 1u << APP_MEDIA }, { "accept4", 1u << APP_MEDIA }, { "bind", 1u << APP_MEDIA },
};

int app_seccomp_load(enum app_role role)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int err = 0;

	if (!ctx)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(refused) && !err; i++) {
		int nr = seccomp_syscall_resolve_name(refused[i].name);

		if (nr != __NR_SCMP_ERROR && (refused[i].roles & 1u << role))
			err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	if (err == -EINVAL || err == -ENOSYS || err == -EACCES) {
		base_log(BASE_WARN, "seccomp", "not available here error=\"%s\"", base_strerror(err));
		err = 0;
	}
	return err;
}

#endif
