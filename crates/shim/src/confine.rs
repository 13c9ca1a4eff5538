//! What a container's processes may ask the kernel for: less than an ordinary program of the machine. Taken on once,
//! before the agent starts, and inherited by everything in the container.
//!
//! Two seccomp filters: what a container has no business with is refused (EPERM), and what is not known here is answered
//! as by an older kernel (ENOSYS), so that programs fall back. The lists follow what container runtimes refuse by default
//! (Docker's and containerd's profiles). Beside them Landlock, where the kernel has it: no signals to processes outside,
//! and no abstract Unix sockets of the machine, whose network the container shares.

use std::collections::BTreeMap;

use anyhow::Context as _;
use landlock::{Ruleset, RulesetAttr as _, Scope};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use syscalls::{Sysno, SysnoSet};

/// errno(3): not permitted, and no such system call.
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Refused whatever the arguments are.
const REFUSED: &[&str] = &[
    // Keyrings are the kernel's, not the container's.
    "add_key",
    "keyctl",
    "request_key",
    // Code and probes in the kernel.
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "lookup_dcookie",
    // Asynchronous calls pass by these filters.
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    // Mounts and namespaces.
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "setns",
    "unshare",
    // Files by handle get round every directory's permissions.
    "open_by_handle_at",
    // The machine's clock, names, power, quotas, log and ports.
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "syslog",
    "vhangup",
    "iopl",
    "ioperm",
    // Long gone, or of no use to anybody here.
    "_sysctl",
    "nfsservctl",
    "uselib",
    "ustat",
    "sysfs",
    "kcmp",
    "fanotify_init",
];

/// clone(2) with any of these makes a namespace: cgroup, uts, ipc, user, pid, net, mount, time.
const NAMESPACES: [u64; 8] =
    [0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x0002_0000, 0x0000_0080];

/// Unix, IPv4, IPv6, and netlink, by which programs list network interfaces.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];

/// ioctl(2) that types into a terminal, and one that pastes into it.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// personality(2) as programs use it: Linux, 32-bit names, the question, and without randomised addresses for debuggers.
const PERSONALITIES: [u64; 6] = [0, 0x0008, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff];

/// Confines this process and everything that it will start, for good. It must have one thread.
pub(crate) fn confine() -> anyhow::Result<()> {
    // As far as the kernel knows of it: scopes are there from 6.12 on.
    let ruleset = Ruleset::default().scope(Scope::AbstractUnixSocket | Scope::Signal);
    let created = ruleset.and_then(Ruleset::create).context("cannot make a Landlock ruleset")?;
    created.restrict_self().context("cannot restrict itself by Landlock")?;
    for filter in [unknown()?, refused()?] {
        seccompiler::apply_filter(&filter).context("cannot install a seccomp filter")?;
    }
    Ok(())
}

/// Everything that is known here is left to the other filter; `clone3` is not, since its flags cannot be looked at.
fn unknown() -> anyhow::Result<BpfProgram> {
    let all = SysnoSet::all();
    let known = all.iter().filter(|call| call.name() != "clone3");
    let rules = known.map(|call| (number(call), Vec::new())).collect();
    compile(rules, SeccompAction::Errno(ENOSYS), SeccompAction::Allow)
}

fn refused() -> anyhow::Result<BpfProgram> {
    let mut rules = BTreeMap::new();
    for call in &SysnoSet::all() {
        let when = match call.name() {
            name if REFUSED.contains(&name) => Vec::new(),
            "clone" => any(NAMESPACES.map(|flag| condition(0, Len::Qword, Op::MaskedEq(flag), flag)))?,
            "socket" => none_of(0, &FAMILIES)?,
            "personality" => none_of(0, &PERSONALITIES)?,
            "ioctl" => any(TYPING.map(|request| condition(1, Len::Dword, Op::Eq, request)))?,
            _ => continue,
        };
        rules.insert(number(call), when);
    }
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM))
}

fn number(call: Sysno) -> i64 {
    i64::from(call.id())
}

fn condition(
    argument: u8,
    length: Len,
    operator: Op,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, length, operator, value)
}

/// One rule for each: one that fits is enough.
fn any<const N: usize>(
    conditions: [Result<SeccompCondition, seccompiler::BackendError>; N],
) -> anyhow::Result<Vec<SeccompRule>> {
    conditions.into_iter().map(|condition| Ok(SeccompRule::new(vec![condition?])?)).collect()
}

/// One rule, which fits when the argument is none of these.
fn none_of(argument: u8, values: &[u64]) -> anyhow::Result<Vec<SeccompRule>> {
    let conditions = values.iter().map(|value| condition(argument, Len::Dword, Op::Ne, *value));
    Ok(vec![SeccompRule::new(conditions.collect::<Result<_, _>>()?)?])
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> anyhow::Result<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_fit_into_the_kernels_bounds() {
        // BPF_MAXINSNS.
        assert!(unknown().unwrap().len() <= 4_096 && refused().unwrap().len() <= 4_096);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_refused_call_is_one_that_there_is() {
        let all = SysnoSet::all();
        for name in REFUSED {
            assert!(all.iter().any(|call| call.name() == *name), "{name}");
        }
    }
}
