//! Address families that no network namespace holds: their sockets lead past it, to the hypervisor or to other processors of the machine. Programs do without
//! them, as on a machine that has none.
//!
//! A program that means to gets around it: by io_uring, whose sockets no filter sees, and on x86-64 by the old call of 32-bit programs, whose arguments no filter sees.

use std::io;

use nix::libc;

use crate::sys;

/// Virtual machines' sockets (vsock), s390's IUCV and Qualcomm's IPC router.
const FAMILIES: [u32; 3] = [libc::AF_VSOCK as u32, 32, 42];

/// The calls that make sockets, by the architecture that they are made for: `AUDIT_ARCH_*` of linux/audit.h, then numbers of `socket` and `socketpair`.
#[cfg(target_arch = "x86_64")]
const CALLS: &[(u32, &[u32])] = &[
    // The last two are those of x32.
    (0xc000_003e, &[41, 53, 0x4000_0029, 0x4000_0035]),
    (0x4000_0003, &[359, 360]),
];
#[cfg(target_arch = "aarch64")]
const CALLS: &[(u32, &[u32])] = &[(0xc000_00b7, &[198, 199]), (0x4000_0028, &[281, 288])];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const CALLS: &[(u32, &[u32])] = &[];

// Of struct seccomp_data; of the first argument the half that holds an int.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Takes those families from this process and everything that it starts. Needs the right to administer its namespaces. Kernels without filters leave them.
pub fn refuse() -> io::Result<()> {
    match sys::filter_calls(&filter(CALLS, &FAMILIES)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => Ok(()),
        other => other,
    }
}

fn filter(calls: &[(u32, &[u32])], families: &[u32]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, value: u32, if_equal: usize, if_not: usize| libc::sock_filter {
        code: code as u16,
        jt: if_equal as u8,
        jf: if_not as u8,
        k: value,
    };
    let load = |offset| instruction(LOAD, offset, 0, 0);
    let end = |verdict| instruction(RETURN, verdict, 0, 0);
    let refused = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;
    // Written from its end, where jumps lead.
    let mut backwards = vec![end(refused), end(libc::SECCOMP_RET_ALLOW)];
    backwards.extend((0..families.len()).map(|index| instruction(JUMP_IF_EQUAL, families[index], index + 1, 0)));
    backwards.push(load(FIRST_ARGUMENT));
    let argument = backwards.len();
    backwards.push(end(libc::SECCOMP_RET_ALLOW));
    for (architecture, numbers) in calls {
        let after = backwards.len();
        backwards.push(end(libc::SECCOMP_RET_ALLOW));
        for number in *numbers {
            let behind = backwards.len() - argument;
            backwards.push(instruction(JUMP_IF_EQUAL, *number, behind, 0));
        }
        backwards.push(load(NUMBER));
        let block = backwards.len() - after;
        backwards.push(instruction(JUMP_IF_EQUAL, *architecture, 0, block));
    }
    backwards.push(load(ARCHITECTURE));
    backwards.reverse();
    backwards
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter says of a call.
    fn verdict(filter: &[libc::sock_filter], architecture: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut held) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = filter[at];
            at += 1;
            match u32::from(code) {
                LOAD if k == NUMBER => held = number,
                LOAD if k == ARCHITECTURE => held = architecture,
                LOAD => held = argument,
                JUMP_IF_EQUAL => at += usize::from(if held == k { jt } else { jf }),
                _ => return k,
            }
        }
    }

    #[test]
    fn sockets_of_these_families_are_refused_and_nothing_else() {
        let calls: [(u32, &[u32]); 2] = [(100, &[1, 2]), (200, &[3])];
        let filter = filter(&calls, &[40, 42]);
        let refused = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;
        for (architecture, number, family, expected) in [
            (100, 1, 40, refused),
            (100, 2, 42, refused),
            (200, 3, 40, refused),
            (100, 1, 2, libc::SECCOMP_RET_ALLOW),
            (100, 3, 40, libc::SECCOMP_RET_ALLOW),
            (200, 1, 40, libc::SECCOMP_RET_ALLOW),
            (300, 1, 40, libc::SECCOMP_RET_ALLOW),
        ] {
            assert_eq!(
                verdict(&filter, architecture, number, family),
                expected,
                "{architecture} {number} {family}"
            );
        }
    }
}
