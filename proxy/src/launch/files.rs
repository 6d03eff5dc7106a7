//! The program's own `/etc/resolv.conf` and `/etc/nsswitch.conf`, in a mount namespace of its own. The host's files stay as they are, and nothing is left.

use crate::launch::netlink::Refusal;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a file becomes, from what it is.
type Change = fn(&str) -> String;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const NSSWITCH_CONF: &str = "/etc/nsswitch.conf";
/// Where the name service cache listens. It would answer with the host's names, so the program does not see it.
const NAME_CACHES: [&str; 2] = ["/run/nscd", "/var/run/nscd"];

/// Changes the files in the mount namespace that this process is alone in. `scratch` is any folder; it is covered for a moment.
pub fn replace(scratch: &Path) -> Result<(), Refusal> {
    let step = |step| move |error: io::Error| Refusal { step, error };
    // Later mounts of the host still arrive; ours do not leave.
    mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_SLAVE, None)
        .map_err(io::Error::from)
        .map_err(step("make the mounts its own"))?;
    tmpfs(scratch).map_err(step("mount a tmpfs"))?;
    for (path, change) in [(RESOLV_CONF, resolv_conf as Change), (NSSWITCH_CONF, nsswitch_conf)] {
        // A file that is not there needs no change: the C library's defaults are the same as ours.
        if let Ok(original) = fs::read(path) {
            let copy = scratch.join(path.replace('/', "-"));
            let cover = || -> io::Result<()> {
                fs::write(&copy, change(&String::from_utf8_lossy(&original)))?;
                fs::set_permissions(&copy, Permissions::from_mode(0o644))?;
                Ok(mount::<Path, str, str, str>(Some(&copy), path, None, MsFlags::MS_BIND, None)?)
            };
            cover().map_err(step("cover /etc/resolv.conf and /etc/nsswitch.conf"))?;
        }
    }
    umount2(scratch, MntFlags::MNT_DETACH)
        .map_err(io::Error::from)
        .map_err(step("unmount the tmpfs"))?;
    for cache in NAME_CACHES
        .map(Path::new)
        .into_iter()
        .filter(|path| path.is_dir() && !path.is_symlink())
    {
        tmpfs(cache).map_err(step("hide the name service cache"))?;
    }
    Ok(())
}

fn tmpfs(on: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount::<str, Path, str, str>(
        Some("weft"),
        on,
        Some("tmpfs"),
        flags,
        Some("mode=0755,size=1m"),
    )?)
}

/// The sidecar answers all questions; the host's options stay. Names of the mesh are found before those of the host's search domains.
fn resolv_conf(original: &str) -> String {
    let lines = || original.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let search = lines()
        .filter(|(key, _)| ["search", "domain"].contains(key))
        .map(|(_, value)| value.trim())
        .next_back();
    let mut text = format!(
        "nameserver 127.0.0.1\nsearch weft{}\n",
        search.map(|domains| format!(" {domains}")).unwrap_or_default()
    );
    for (_, options) in lines().filter(|(key, _)| *key == "options") {
        text.push_str(&format!("options {}\n", options.trim()));
    }
    text
}

/// Host names come from files and DNS only: other sources ask services of the host, past the sidecar.
fn nsswitch_conf(original: &str) -> String {
    let others = original.lines().filter(|line| !line.trim_start().starts_with("hosts:"));
    let own_name = original
        .lines()
        .any(|line| line.trim_start().starts_with("hosts:") && line.split_whitespace().any(|word| word == "myhostname"));
    let hosts = if own_name {
        "hosts: files myhostname dns"
    } else {
        "hosts: files dns"
    };
    others.chain([hosts]).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_asks_the_sidecar_and_keeps_the_options_and_search_domains() {
        let original = "# made by hand\nnameserver 10.0.0.2\nnameserver 1.1.1.1\nsearch corp.example lab.example\noptions edns0 ndots:2\n";
        assert_eq!(
            resolv_conf(original),
            "nameserver 127.0.0.1\nsearch weft corp.example lab.example\noptions edns0 ndots:2\n"
        );
        assert_eq!(resolv_conf(""), "nameserver 127.0.0.1\nsearch weft\n");
    }

    #[test]
    fn of_search_and_domain_the_last_one_counts_as_for_the_c_library() {
        assert_eq!(
            resolv_conf("search a.example\ndomain b.example\n"),
            "nameserver 127.0.0.1\nsearch weft b.example\n"
        );
    }

    #[test]
    fn nsswitch_takes_host_names_from_files_and_dns_only() {
        let original =
            "passwd: files systemd\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns\nnetworks: files\n";
        assert_eq!(
            nsswitch_conf(original),
            "passwd: files systemd\nnetworks: files\nhosts: files dns\n"
        );
        assert!(nsswitch_conf("hosts: mymachines resolve files myhostname dns\n").ends_with("hosts: files myhostname dns\n"));
    }
}
