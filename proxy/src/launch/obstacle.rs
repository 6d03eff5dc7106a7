//! Why a machine does not let a program have its own network namespace, in words, with what changes it.

use crate::launch::netlink::Refusal;
use nix::errno::Errno;
use nix::unistd::geteuid;
use std::fs;

/// What stands in the way, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// For the end of a sentence: "because ...".
    pub cause: String,
    /// What a person can do about it.
    pub remedy: String,
}

/// What of this machine explains a refusal.
#[derive(Clone, Debug, Default)]
pub struct Host {
    root: bool,
    /// Values of settings; `None` where the kernel has no such setting.
    apparmor_restricts: Option<String>,
    unprivileged_clone: Option<String>,
    max_user_namespaces: Option<String>,
}

impl Host {
    /// Reads this machine's settings.
    pub fn observe() -> Host {
        let setting = |path: &str| {
            fs::read_to_string(format!("/proc/sys/{path}"))
                .ok()
                .map(|text| text.trim().to_owned())
        };
        Host {
            root: geteuid().is_root(),
            apparmor_restricts: setting("kernel/apparmor_restrict_unprivileged_userns"),
            unprivileged_clone: setting("kernel/unprivileged_userns_clone"),
            max_user_namespaces: setting("user/max_user_namespaces"),
        }
    }

    /// The most likely reason of `refusal`.
    pub fn explain(&self, refusal: &Refusal) -> Obstacle {
        let errno = Errno::from_raw(refusal.error.raw_os_error().unwrap_or(0));
        let denied = [Errno::EPERM, Errno::EACCES].contains(&errno);
        let set = |setting: &Option<String>, value: &str| !self.root && setting.as_deref() == Some(value);
        let sysctl = |assignment: &str| format!("Allow it with: sudo sysctl -w {assignment}");
        let (cause, remedy) = if set(&self.max_user_namespaces, "0") {
            (
                "user namespaces are switched off (user.max_user_namespaces=0)".to_owned(),
                sysctl("user.max_user_namespaces=10000"),
            )
        } else if set(&self.unprivileged_clone, "0") && denied {
            let cause = "user namespaces are for root only (kernel.unprivileged_userns_clone=0)";
            (cause.to_owned(), sysctl("kernel.unprivileged_userns_clone=1"))
        } else if set(&self.apparmor_restricts, "1") && denied {
            let cause = "AppArmor gives user namespaces no rights (kernel.apparmor_restrict_unprivileged_userns=1)";
            (cause.to_owned(), sysctl("kernel.apparmor_restrict_unprivileged_userns=0"))
        } else if errno == Errno::ENOSPC {
            let cause = "too many user or network namespaces exist already";
            (
                cause.to_owned(),
                "Raise user.max_user_namespaces and user.max_net_namespaces with sysctl, or end what holds them.".to_owned(),
            )
        } else if denied {
            let remedy = if self.root {
                "In a container, start it with the capabilities SYS_ADMIN and NET_ADMIN."
            } else {
                "In a container, its seccomp or AppArmor profile must allow unshare and mount."
            };
            (self.plain(refusal), remedy.to_owned())
        } else if [Errno::EPROTONOSUPPORT, Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT, Errno::ENOENT].contains(&errno) {
            let remedy = "The kernel needs nf_tables with nat and redirect (modules nft_chain_nat and nft_redir), Linux 5.2 or later.";
            (self.plain(refusal), remedy.to_owned())
        } else {
            (self.plain(refusal), "See `dmesg` for the kernel's own message.".to_owned())
        };
        Obstacle { cause, remedy }
    }

    fn plain(&self, refusal: &Refusal) -> String {
        let errno = Errno::from_raw(refusal.error.raw_os_error().unwrap_or(0));
        let text = if errno == Errno::UnknownErrno {
            refusal.error.to_string()
        } else {
            errno.desc().to_owned()
        };
        format!("this machine did not let it {} ({text})", refusal.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn refusal(errno: Errno) -> Refusal {
        Refusal {
            step: "create a user namespace",
            error: io::Error::from(errno),
        }
    }

    fn setting(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn apparmors_restriction_is_named_with_the_setting_that_lifts_it() {
        let host = Host {
            apparmor_restricts: setting("1"),
            ..Host::default()
        };
        let obstacle = host.explain(&refusal(Errno::EPERM));
        assert!(obstacle.cause.contains("AppArmor"));
        assert!(obstacle.remedy.contains("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"));
    }

    #[test]
    fn switched_off_user_namespaces_are_named_whatever_the_kernel_answered() {
        let host = Host {
            max_user_namespaces: setting("0"),
            ..Host::default()
        };
        assert!(host.explain(&refusal(Errno::ENOSPC)).cause.contains("user.max_user_namespaces=0"));
    }

    #[test]
    fn root_is_told_about_capabilities_and_not_about_settings_for_others() {
        let host = Host {
            root: true,
            apparmor_restricts: setting("1"),
            max_user_namespaces: setting("0"),
            ..Host::default()
        };
        let obstacle = host.explain(&refusal(Errno::EPERM));
        assert_eq!(
            obstacle.cause,
            "this machine did not let it create a user namespace (Operation not permitted)"
        );
        assert!(obstacle.remedy.contains("SYS_ADMIN"));
    }

    #[test]
    fn a_kernel_without_nftables_is_told_apart_from_a_refusal() {
        let obstacle = Host::default().explain(&refusal(Errno::EPROTONOSUPPORT));
        assert!(obstacle.remedy.contains("nf_tables"));
    }
}
