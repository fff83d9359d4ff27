"""The sandbox: a program that misbehaves ends with a clear outcome and disturbs nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from llm_compiler.validation.sandbox import (
    Ended,
    Execution,
    Running,
    SandboxLimits,
    confine,
    execute,
    filtered,
    wait_for,
)
from support import HAS_PROC, children, eventually, state, write_source

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
needs_filter = pytest.mark.skipif(not filtered(), reason="this kernel or architecture takes no filter")

SHORT = SandboxLimits(cpu_seconds=1, wall_seconds=5)

# One program with many faults: its first argument says which. What is refused is printed with the error's name.
FAULTS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRY(call) do { errno = 0; long r = (long)(call); \
  printf("%s %s\n", #call, r == -1 ? strerrorname_np(errno) : "done"); } while (0)

/* Nothing is shot at unless a filter is in force. */
static void must_be_filtered(void) {
  char line[200];
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (!strcmp(line, "Seccomp:\t2\n")) { fclose(status); return; }
  exit(99);
}

static void *work(void *sum) {
  for (int i = 0; i < 1000; i++) __atomic_add_fetch((int *)sum, 1, __ATOMIC_SEQ_CST);
  return malloc(100);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  pid_t parent = getppid();
  if (!strcmp(what, "signals")) {
    must_be_filtered();
    TRY(kill(0, SIGKILL));
    TRY(kill(parent, SIGKILL));
    TRY(kill(-parent, SIGKILL));
    TRY(kill(-1, SIGKILL));
    TRY(kill(1, SIGTERM));
    TRY(syscall(SYS_tkill, parent, SIGKILL));
    TRY(syscall(SYS_tgkill, parent, parent, SIGKILL));
    TRY(sigqueue(parent, SIGKILL, (union sigval){0}));
    TRY(fcntl(0, F_SETOWN, parent));
    TRY(kill(getpid(), 0));
    TRY(raise(SIGCHLD));
  } else if (!strcmp(what, "escape")) {
    must_be_filtered();
    TRY(setsid());
    TRY(setpgid(0, 0));
    TRY(ptrace(PTRACE_ATTACH, parent, 0, 0));
    TRY(unshare(CLONE_NEWUSER));
    TRY(prctl(PR_SET_PDEATHSIG, 0));
    TRY(setuid(12345));
    TRY(setrlimit(RLIMIT_CPU, &(struct rlimit){1000, 1000}));
    TRY(prlimit(parent, RLIMIT_NOFILE, &(struct rlimit){3, 3}, 0));
    TRY(setpriority(PRIO_PROCESS, 0, -5));
    TRY(syscall(SYS_clone3, 0, 0));
    TRY(syscall(425, 8, 0));
    TRY(syscall(0x40000000 | SYS_getpid));
    TRY(chroot("/"));
    struct rlimit limit;
    TRY(getrlimit(RLIMIT_AS, &limit));
  } else if (!strcmp(what, "network")) {
    TRY(socket(AF_INET, SOCK_STREAM, 0));
    TRY(socket(AF_UNIX, SOCK_DGRAM, 0));
    int pair[2];
    TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    TRY(pipe(pair));
  } else if (!strcmp(what, "files")) {
    TRY(open("here", O_CREAT | O_WRONLY, 0600));
    TRY(open("/tmp", O_TMPFILE | O_RDWR, 0600));
    TRY(creat("/tmp/llmc-sandbox-test", 0600));
    TRY(mkdir("folder", 0700));
    TRY(symlink("/", "link"));
    TRY(unlink(argv[0]));
    TRY(chmod(argv[0], 0));
    TRY(truncate(argv[0], 0));
    TRY(rename(argv[0], "gone"));
    TRY(memfd_create("m", 0));
    TRY(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
    TRY(open(argv[0], O_RDONLY));
  } else if (!strcmp(what, "fork")) {
    TRY(fork());
    TRY(vfork());
    TRY(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
  } else if (!strcmp(what, "bomb")) {
    for (;;) fork();
  } else if (!strcmp(what, "threads")) {
    pthread_t threads[8];
    int sum = 0;
    void *result;
    for (int i = 0; i < 8; i++) if (pthread_create(&threads[i], 0, work, &sum)) return 2;
    for (int i = 0; i < 8; i++) { pthread_join(threads[i], &result); free(result); }
    printf("%d\n", sum);
  } else if (!strcmp(what, "memory")) {
    unsigned long mb = 0;
    char *volatile block = 0;
    for (char *p; (p = malloc(1 << 20)); mb++) memset(block = p, 1, 1 << 20);
    free(block);
    printf("%lu\n", mb);
  } else if (!strcmp(what, "print")) {
    for (;;) fwrite("0123456789abcdef", 1, 16, argc > 2 ? stderr : stdout);
  } else if (!strcmp(what, "spin")) {
    if (argc > 2) { signal(SIGXCPU, SIG_IGN); fclose(stdout); fclose(stderr); }
    for (volatile int i = 0;; i++) {}
  } else if (!strcmp(what, "sleep")) {
    printf("waiting\n");
    fflush(stdout);
    sleep(100);
  } else if (!strcmp(what, "abort")) {
    abort();
  } else if (!strcmp(what, "fault")) {
    *(volatile int *)8 = 1;
  } else if (!strcmp(what, "overflow")) {
    volatile char page[4096];
    memset((char *)page, 0, sizeof page);
    return page[0] + main(argc, argv);
  } else if (!strcmp(what, "surroundings")) {
    extern char **environ;
    int fds = 0;
    for (int fd = 3; fd < 256; fd++) fds += fcntl(fd, F_GETFD) >= 0;
    for (char **e = environ; *e; e++) printf("%s\n", *e);
    char folder[500], line[50] = "";
    if (!fgets(line, sizeof line, stdin)) strcpy(line, "nothing");
    printf("%s %d %s %d %d\n", line, fds, getcwd(folder, sizeof folder), getsid(0) == getpid(), getpgrp() == getpid());
  } else {
    return 7;
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory, clang: str) -> str:
    folder = tmp_path_factory.mktemp("faults")
    source = write_source(folder, "faults.c", FAULTS)
    program = folder / "faults"
    subprocess.run([clang, "-O1", "-w", "-pthread", source, "-o", program], check=True)
    return str(program)


def refusals(execution: Execution) -> dict[str, str]:
    """What the program tried, and what became of it."""
    assert execution.ended is Ended.EXITED and execution.code == 0, execution
    return dict(line.rsplit(" ", 1) for line in execution.stdout.decode().splitlines())


# --- what is refused ---


@needs_filter
def test_nothing_can_be_signalled_but_itself(faults: str) -> None:
    tried = refusals(execute([faults, "signals"]))
    allowed = [tried.pop("kill(getpid(), 0)"), tried.pop("raise(SIGCHLD)")]
    assert allowed == ["done", "done"] and len(tried) == 9 and set(tried.values()) == {"EPERM"}


@needs_filter
def test_it_stays_in_its_session_and_limits(faults: str) -> None:
    tried = refusals(execute([faults, "escape"]))
    assert tried.pop("getrlimit(RLIMIT_AS, &limit)") == "done"
    for call in ("syscall(SYS_clone3, 0, 0)", "syscall(0x40000000 | SYS_getpid)", "syscall(425, 8, 0)"):
        assert tried.pop(call) == "ENOSYS"  # that glibc falls back; 425 is io_uring_setup
    assert len(tried) == 10 and set(tried.values()) == {"EPERM"}


@needs_filter
def test_there_is_no_network(faults: str) -> None:
    tried = refusals(execute([faults, "network"]))
    assert tried.pop("pipe(pair)") == "done"
    assert len(tried) == 3 and set(tried.values()) == {"EPERM"}


@needs_filter
def test_no_file_is_made_or_changed(faults: str, tmp_path: Path) -> None:
    before = Path(faults).stat()
    tried = refusals(execute([faults, "files"], cwd=tmp_path))
    assert tried.pop("open(argv[0], O_RDONLY)") == "done"
    assert len(tried) == 11 and set(tried.values()) == {"EPERM"}
    after = Path(faults).stat()
    assert not list(tmp_path.iterdir()) and not Path("/tmp/llmc-sandbox-test").exists()
    assert (after.st_mode, after.st_size) == (before.st_mode, before.st_size)


@needs_filter
def test_no_process_is_made(faults: str) -> None:
    tried = refusals(execute([faults, "fork"]))
    assert set(tried.values()) == {"EPERM"} and len(tried) == 3
    before = children(os.getpid())
    bomb = execute([faults, "bomb"], SHORT)
    assert bomb.ended is Ended.TIMED_OUT and children(os.getpid()) == before


# --- how programs end ---


@pytest.mark.parametrize(("fault", "number"), [
    ("abort", signal.SIGABRT), ("fault", signal.SIGSEGV), ("overflow", signal.SIGSEGV)])
def test_a_signal(faults: str, fault: str, number: int) -> None:
    execution = execute([faults, fault])
    assert (execution.ended, execution.code) == (Ended.SIGNALLED, number)


def test_exit_codes_and_programs_that_do_not_start(faults: str, tmp_path: Path) -> None:
    execution = execute([faults])
    assert (execution.ended, execution.code, execution.stdout) == (Ended.EXITED, 7, b"")
    missing = execute([str(tmp_path / "missing")])
    assert missing.ended is Ended.NOT_STARTED and b"missing" in missing.stderr
    assert execute([str(write_source(tmp_path, "text", "no program"))]).ended is Ended.NOT_STARTED


@pytest.mark.parametrize("arguments", [["spin"], ["spin", "stubborn"]])
def test_processor_time_ends(faults: str, arguments: list[str]) -> None:
    execution = execute([faults, *arguments], SandboxLimits(cpu_seconds=1, wall_seconds=60))
    assert execution.ended is Ended.TIMED_OUT and 0.5 < execution.cpu < 3


def test_wall_time_ends_and_what_was_printed_is_kept(faults: str) -> None:
    execution = execute([faults, "sleep"], SandboxLimits(wall_seconds=0.5))
    assert execution.ended is Ended.TIMED_OUT and execution.stdout == b"waiting\n"
    assert 0.5 <= execution.seconds < 5 and execution.cpu < 0.5


@pytest.mark.parametrize("arguments", [["print"], ["print", "stderr"]])
def test_output_ends(faults: str, arguments: list[str]) -> None:
    execution = execute([faults, *arguments], SandboxLimits(output=100_000))
    assert execution.ended is Ended.OUTPUT_LIMIT
    assert sorted((len(execution.stdout), len(execution.stderr))) == [0, 100_000]


def test_memory_ends(faults: str) -> None:
    execution = execute([faults, "memory"], SandboxLimits(memory=256 << 20))
    assert execution.ended is Ended.EXITED and 100 < int(execution.stdout) < 256


# --- what programs need works ---


def test_threads(faults: str) -> None:
    assert execute([faults, "threads"]).stdout == b"8000\n"


def test_surroundings_are_clean(faults: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMC_SECRET", "1")
    inherited = os.open("/", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        first, second = (execute([faults, "surroundings"], stdin=text) for text in (b"", b"words"))
    finally:
        os.close(inherited)
    *environment, line = first.stdout.decode().splitlines()
    word, descriptors, folder, session, group = line.split()
    assert not any("SECRET" in variable for variable in environment)
    assert (word, descriptors, session, group) == ("nothing", "0", "1", "1")
    assert second.stdout.decode().splitlines()[-1].startswith("words 0 ")
    assert folder != os.getcwd() and not Path(folder).exists()


def test_an_ordinary_interpreter() -> None:
    execution = execute([sys.executable, "-I", "-c", "import json; print(json.dumps([1, 2]))"])
    assert (execution.code, execution.stdout) == (0, b"[1, 2]\n"), execution


def test_many_at_once_from_threads(faults: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda number: execute([faults, "surroundings"], stdin=b"%d" % number), range(40)))
    assert [int(execution.stdout.split()[-5]) for execution in done] == list(range(40))


def test_its_own_processes_go_with_it() -> None:
    shell = ["/bin/sh", "-c", "sleep 100 & echo $!; echo a | cat"]
    with Running(shell, setup=partial(confine, may_fork=True)) as running:
        while (execution := running.poll()) is None:
            wait_for([running], 1.0)
    first, second = execution.stdout.split()
    assert second == b"a" and execution.code == 0 and execution.seconds < 5
    assert eventually(lambda: state(int(first)) in (None, "Z"))


def test_close_kills(faults: str) -> None:
    before = children(os.getpid())
    running = Running([faults, "sleep"])
    assert len(children(os.getpid()) - before) == 1 and running.poll() is None
    running.close()
    running.close()
    assert children(os.getpid()) == before and not running.files()


def test_it_dies_with_its_parent(faults: str, tmp_path: Path) -> None:
    code = f"from llm_compiler.validation.sandbox import execute; execute([{faults!r}, 'sleep'])"
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}) as parent:
        assert eventually(lambda: any(state(child) == "S" and "faults" in command(child)
                                      for child in children(parent.pid)))
        (child,) = (child for child in children(parent.pid) if "faults" in command(child))
        parent.kill()
    assert eventually(lambda: state(child) in (None, "Z"))


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


@needs_filter
@pytest.mark.skipif(os.getuid() != 0, reason="every other test here runs as an ordinary user")
def test_ordinary_users_have_the_same_sandbox(faults: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = folder / "faults"
        program.write_bytes(Path(faults).read_bytes())
        program.chmod(0o755)
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                os.chdir("/")
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                tried = refusals(execute([str(program), "signals"]))
                code = 0 if list(tried.values()).count("EPERM") == 9 else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
