//! The few calls that no safe wrapper covers, most of them to the kernel. Everything `unsafe` of the launcher is here.
#![allow(unsafe_code)]

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::unix::AsyncFd;

/// Takes the descriptor that this process was started with under `number`, and keeps it from programs started later.
/// Call it once for a number: two owners would close it twice.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD fails with EBADF unless the descriptor is open; the caller is its only owner.
    let descriptor = unsafe {
        if libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(number)
    };
    Ok(descriptor)
}

/// One message of a socket.
pub(crate) struct Message {
    /// So many bytes were written to the buffer.
    pub length: usize,
    /// The descriptors that came with it, as far as the kernel could make them: they are this process's own, whatever becomes of the message.
    pub descriptors: Vec<OwnedFd>,
    /// Nothing of it was cut off: neither bytes nor descriptors.
    pub whole: bool,
}

/// Receives one message into `bytes`, with at most `most` descriptors. One that does not fit, be it that this process may open no more descriptors, is cut.
pub(crate) fn receive(socket: &impl AsRawFd, bytes: &mut [u8], most: usize) -> io::Result<Message> {
    // SAFETY: CMSG_SPACE only computes.
    let space = unsafe { libc::CMSG_SPACE((most * size_of::<RawFd>()) as libc::c_uint) } as usize;
    // Of words, so that it is aligned for a header.
    let mut control = vec![0usize; space.div_ceil(size_of::<usize>())];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the struct consists of integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = space;
    // SAFETY: the header names a buffer for bytes and one for control messages, both with their lengths.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let mut descriptors = Vec::new();
    // SAFETY: the kernel filled the control buffer as CMSG_FIRSTHDR and CMSG_NXTHDR expect it. It made the descriptors for this call, so nothing else owns them.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const header);
        while let Some(control) = next.as_ref() {
            if (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let count = (control.cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                let numbers = libc::CMSG_DATA(control).cast::<RawFd>();
                descriptors.extend((0..count).map(|index| OwnedFd::from_raw_fd(numbers.add(index).read_unaligned())));
            }
            next = libc::CMSG_NXTHDR(&raw const header, control);
        }
    }
    Ok(Message {
        length,
        descriptors,
        whole: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0,
    })
}

/// Times that the kernel sent the same bytes of a connection again without an answer; 0 when everything sent was acknowledged, as far as is known.
pub(crate) fn unanswered(tcp: &impl AsRawFd) -> u8 {
    // SAFETY: the struct consists of integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`.
    let result = unsafe {
        libc::getsockopt(
            tcp.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &mut length,
        )
    };
    match result {
        0 if info.tcpi_unacked > 0 => info.tcpi_retransmits.max(1),
        _ => 0,
    }
}

/// Limits how many bytes the kernel takes of a connection before it can send them (TCP_NOTSENT_LOWAT).
pub fn limit_unsent(tcp: &tokio::net::TcpStream, bytes: u32) -> io::Result<()> {
    // SAFETY: the kernel reads `bytes` before the call returns.
    let result = unsafe {
        libc::setsockopt(
            tcp.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const bytes).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    nix::errno::Errno::result(result).map(drop).map_err(io::Error::from)
}

/// How a child differs from what it would inherit.
pub struct ChildSetup {
    /// The signals that are blocked in it, whatever this process blocks.
    pub blocked: SigSet,
    /// Becomes this descriptor number in the child.
    pub descriptor: Option<(OwnedFd, RawFd)>,
    /// Closes all descriptors above that number, which are otherwise inherited as usual.
    pub nothing_else: bool,
    /// Gets its own session, so that a terminal's signals do not reach it.
    pub session: bool,
    /// Is killed when its parent thread ends.
    pub dies_with_parent: bool,
}

impl ChildSetup {
    /// Everything as it is here, but for the blocked signals.
    pub fn blocking(blocked: SigSet) -> ChildSetup {
        ChildSetup {
            blocked,
            descriptor: None,
            nothing_else: false,
            session: false,
            dies_with_parent: false,
        }
    }
}

/// Applies `setup` between fork and exec of `command`.
pub fn prepare_child(command: &mut Command, setup: ChildSetup) {
    let parent = unistd::getpid();
    // SAFETY: the closure only makes system calls that are async-signal-safe and does not allocate.
    unsafe {
        command.pre_exec(move || {
            setup.blocked.thread_set_mask()?;
            if setup.session {
                unistd::setsid()?;
            }
            if setup.dies_with_parent {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                if unistd::getppid() != parent {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
            }
            if let Some((descriptor, number)) = &setup.descriptor {
                let from = descriptor.as_raw_fd();
                let done = if from == *number {
                    libc::fcntl(from, libc::F_SETFD, 0)
                } else {
                    libc::dup2(from, *number)
                };
                if done < 0 {
                    return Err(io::Error::last_os_error());
                }
                if setup.nothing_else {
                    // Without it (Linux before 5.11) inherited descriptors stay open, which harms nothing.
                    libc::syscall(libc::SYS_close_range, *number + 1, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
                }
            }
            Ok(())
        });
    }
}

/// Gives a signal its default effect, in this process and in programs that it starts.
pub fn reset_signal(number: i32) {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
    }
}

/// Sends `number` to this process with its default effect. Returns when that effect is not to end it.
pub fn die_by(number: i32) {
    // SAFETY: SIG_DFL runs no code of ours, and the set is initialised by sigemptyset.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, number);
        libc::signal(number, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(number);
    }
}

/// The highest capability number that is tried; the kernel refuses those it does not know.
const LAST_CAPABILITY: u32 = 63;

/// Takes the capabilities in `mask` (bit = capability number) from the bounding set and all from the ambient and inheritable sets, so that no program
/// started from here gains them. Of its own, this process keeps those in `own`.
pub fn limit_capabilities(mask: u64, own: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let mut halves = [Data::default(); 2];
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    // SAFETY: plain prctl, capget and capset calls with arguments of the documented shapes.
    unsafe {
        for capability in (0..=LAST_CAPABILITY).filter(|bit| mask & (1 << bit) != 0) {
            let known = libc::prctl(libc::PR_CAPBSET_READ, capability as libc::c_ulong, 0, 0, 0) > 0;
            if known && libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0);
        if libc::syscall(libc::SYS_capget, &header, halves.as_mut_ptr()) < 0 {
            return Err(io::Error::last_os_error());
        }
        for (data, bits) in halves.iter_mut().zip([own as u32, (own >> 32) as u32]) {
            *data = Data {
                effective: data.effective & bits,
                permitted: data.permitted & bits,
                inheritable: 0,
            };
        }
        if libc::syscall(libc::SYS_capset, &header, halves.as_ptr()) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets a filter judge the system calls of this process and of everything that it starts. It costs no protection against speculation, which it does not need.
pub(crate) fn filter_calls(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions from `filter` and changes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            &raw const program,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Something that owns one descriptor and keeps it, open and the same, until it is dropped.
pub trait KeepsDescriptor: AsRawFd {}
impl KeepsDescriptor for OwnedFd {}
impl KeepsDescriptor for crate::launch::Link {}
impl KeepsDescriptor for crate::launch::Signals {}

/// Lets tasks wait until the descriptor can be read or written. It must not block.
pub fn readiness<T: KeepsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: what register asks for is what KeepsDescriptor promises.
    unsafe { AsyncFd::register(owner) }.map_err(Into::into)
}

/// The system's allocator, with a count of the bytes in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the heap that are in use.
#[inline]
pub fn heap() -> usize {
    IN_USE.load(Relaxed)
}

/// Counts without a locked instruction, which would cost more than the rest of an allocation: all but name lookups is done by one thread, and what two threads
/// lose by counting at the same moment are some dozens of bytes a million times.
#[inline]
fn count(more: usize) {
    IN_USE.store(IN_USE.load(Relaxed).wrapping_add(more), Relaxed);
}

// SAFETY: every call is the system allocator's own.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size().wrapping_neg());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.wrapping_sub(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Lets the allocator keep to one arena, and give large blocks back to the kernel at once, however many there were before.
pub fn settle_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only changes settings of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1024 * 1024);
    }
}

/// Gives the kernel back what is free between blocks in use.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of memory that are this process's own; 0 when the kernel does not say.
pub fn anonymous() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split(' ').skip(1).map_while(|field| field.parse::<usize>().ok());
    let (Some(resident), Some(shared)) = (pages.next(), pages.next()) else {
        return 0;
    };
    let page = unistd::sysconf(unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    resident.saturating_sub(shared) * page as usize
}
