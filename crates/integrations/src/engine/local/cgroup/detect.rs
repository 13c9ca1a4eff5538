//! Which hierarchies there are, read from `/proc/self/mounts` and `/proc/self/cgroup` (cgroups(7)).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What limits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Controller {
    Memory,
    Pids,
    Cpu,
}

const CONTROLLERS: [(Controller, &str); 3] =
    [(Controller::Memory, "memory"), (Controller::Pids, "pids"), (Controller::Cpu, "cpu")];

/// The version of a hierarchy's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Version {
    V1,
    V2,
}

/// A place where groups may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Hierarchy {
    pub(super) version: Version,
    /// Groups are made below this directory.
    pub(super) parent: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// Per mounted hierarchy the places to try, best first: its root, then our own group's ancestors, top down.
pub(super) fn candidates(mounts: &str, own: &str) -> Vec<Vec<Hierarchy>> {
    let mut found: Vec<Vec<Hierarchy>> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, mount, kind, options, ..] = fields[..] else { continue };
        let mount = PathBuf::from(mount);
        let version = match kind {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => continue,
        };
        let controllers = match version {
            Version::V1 => named(options.split(',')),
            Version::V2 => available(&mount),
        };
        // A second mount of the same place, as containers have it, must not count twice.
        if controllers.is_empty() || seen.contains(&mount) {
            continue;
        }
        seen.push(mount.clone());
        let parents =
            std::iter::once(mount.clone()).chain(ancestors(&mount, &own_group(own, version, options)));
        found.push(
            parents.map(|parent| Hierarchy { version, parent, controllers: controllers.clone() }).collect(),
        );
    }
    found
}

impl Hierarchy {
    /// In version 2 a directory's children have a controller only if it and all above it pass it on.
    pub(super) fn with_delegated_controllers(mut self, above: &Path) -> std::io::Result<Self> {
        if self.version == Version::V1 {
            return Ok(self);
        }
        self.controllers = available(above);
        for dir in [above, &self.parent] {
            pass_on(dir, &self.controllers)?;
        }
        self.controllers = available(&self.parent);
        Ok(self)
    }
}

fn pass_on(dir: &Path, controllers: &[Controller]) -> std::io::Result<()> {
    let file = dir.join("cgroup.subtree_control");
    let passed = fs::read_to_string(&file)?;
    let passed = named(passed.split_ascii_whitespace());
    let missing = CONTROLLERS.iter().filter(|(c, _)| controllers.contains(c) && !passed.contains(c));
    let text: Vec<String> = missing.map(|(_, name)| format!("+{name}")).collect();
    if text.is_empty() { Ok(()) } else { fs::write(file, text.join(" ")) }
}

fn available(dir: &Path) -> Vec<Controller> {
    named(fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default().split_ascii_whitespace())
}

fn named<'t>(names: impl Iterator<Item = &'t str>) -> Vec<Controller> {
    names.filter_map(|name| CONTROLLERS.iter().find(|known| known.1 == name)).map(|known| known.0).collect()
}

/// Our own group in the hierarchy, from lines such as `4:memory:/a/b` and `0::/a/b`.
fn own_group(own: &str, version: Version, options: &str) -> String {
    let matches = |controllers: &str| match version {
        Version::V1 => {
            controllers.split(',').any(|name| !name.is_empty() && options.split(',').any(|o| o == name))
        }
        Version::V2 => controllers.is_empty(),
    };
    let lines = own.lines().filter_map(|line| line.splitn(3, ':').collect::<Vec<_>>().try_into().ok());
    lines
        .filter(|[_, controllers, _]: &[&str; 3]| matches(controllers))
        .map(|[_, _, path]| path.to_owned())
        .next()
        .unwrap_or_default()
}

fn ancestors(mount: &Path, group: &str) -> Vec<PathBuf> {
    let mut path = mount.to_owned();
    let parts = Path::new(group).components().filter(|part| matches!(part, std::path::Component::Normal(_)));
    parts
        .map(|part| {
            path.push(part);
            path.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_controllers_are_found_once_each_even_when_they_share_a_mount() {
        let mounts = "cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /c/memory cgroup rw,memory 0 0\n\
                      cgroup /c/memory cgroup rw,memory 0 0\ncgroup /c/freezer cgroup rw,freezer 0 0\n";
        let found = candidates(mounts, "4:memory:/a/b\n1:cpu,cpuacct:/\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0][0].controllers, [Controller::Cpu]);
        let parents: Vec<_> = found[1].iter().map(|place| place.parent.to_str().unwrap()).collect();
        assert_eq!(parents, ["/c/memory", "/c/memory/a", "/c/memory/a/b"]);
    }

    #[test]
    fn version_2_passes_on_what_it_has_and_counts_what_arrives() {
        let dir = tempfile::tempdir().unwrap();
        let (root, ours) = (dir.path(), dir.path().join("zlh"));
        fs::create_dir(&ours).unwrap();
        fs::write(root.join("cgroup.controllers"), "cpuset cpu memory pids").unwrap();
        fs::write(root.join("cgroup.subtree_control"), "memory").unwrap();
        fs::write(ours.join("cgroup.controllers"), "cpu memory").unwrap();
        fs::write(ours.join("cgroup.subtree_control"), "").unwrap();
        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", root.display());
        let place = candidates(&mounts, "0::/user.slice\n")[0][0].clone();
        let place = Hierarchy { parent: ours.clone(), ..place }.with_delegated_controllers(root).unwrap();
        assert_eq!(fs::read_to_string(root.join("cgroup.subtree_control")).unwrap(), "+pids +cpu");
        assert_eq!(fs::read_to_string(ours.join("cgroup.subtree_control")).unwrap(), "+memory +pids +cpu");
        assert_eq!(place.controllers, [Controller::Cpu, Controller::Memory]);
    }
}
