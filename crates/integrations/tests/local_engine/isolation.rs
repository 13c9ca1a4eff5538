//! What a container sees, and what it may use.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    time::Duration,
};

use domain::agent::{AgentState, FaultCode, PowerAction};
use integrations::engine::{Engine, local::Isolation};

use crate::world::{World, agents, cgroups, game, state_of};

/// Prints what each of these shell words expands to or reads, and then is ready.
async fn seen_inside(world: &World, script: &str) -> String {
    let spec = world.started().await;
    let session = world.play(&spec, &format!("{{ {script}; }} > seen 2>&1; echo ready; sleep 600")).await;
    drop(session);
    fs::read_to_string(world.data(spec.instance_id).join("seen")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_neither_its_neighbours_nor_the_machines_secrets() {
    let world = World::new(Isolation::Bubblewrap).await;
    let neighbour = world.started().await;
    fs::write(world.data(neighbour.instance_id).join("secret"), "SECRET").unwrap();
    let outside = world.dir.path().join("credentials");
    fs::write(&outside, "SECRET").unwrap();
    let neighbours = world.engine.root_of(neighbour.instance_id);
    let source = env!("CARGO_MANIFEST_DIR");
    let script = format!(
        "cat {} {}/data/secret {}/../container.json; ls {source} /root /home /etc/shadow /etc/ssl/private /sys; \
         ls {}; env; echo pids $(ls /proc | grep -c '^[0-9]'); id -u; hostname; touch /new /usr/new; cat /etc/passwd",
        outside.display(),
        neighbours.display(),
        neighbours.display(),
        world.root().display(),
    );
    let seen = seen_inside(&world, &script).await;
    assert!(!seen.contains("SECRET") && !seen.contains("CARGO"), "{seen}");
    // cat × 3, ls × 6, touch × 2: all refused.
    let refused =
        seen.lines().filter(|line| line.contains("No such file") || line.contains("Read-only")).count();
    assert_eq!(refused, 11, "{seen}");
    let user = if is_root() { "\n19000" } else { "\n1000\n" };
    assert!(seen.contains(user) && seen.contains("\ndemo\n") && !seen.contains("root:"), "{seen}");
    let pids: u32 = seen.lines().find_map(|line| line.strip_prefix("pids ")).unwrap().parse().unwrap();
    assert!(pids < 12, "{seen}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user of a container's agent, as the machine sees it.
fn user_outside(world: &World, id: domain::ids::InstanceId) -> u32 {
    let agent = agents(&world.engine.root_of(id))[0];
    let status = fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    let uids = uids.split_ascii_whitespace().map(|uid| uid.parse().unwrap()).collect::<Vec<u32>>();
    assert!(uids.iter().all(|uid| *uid == uids[0]), "{status}");
    uids[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_container_is_root_outside_and_two_are_strangers_where_that_can_be() {
    for isolation in [Isolation::Bubblewrap, Isolation::None] {
        let world = World::new(isolation).await;
        let (a, b) = (world.started().await.instance_id, world.started().await.instance_id);
        let users = [user_outside(&world, a), user_outside(&world, b)];
        if is_root() {
            assert!(users[0] != users[1] && users.iter().all(|user| *user > 1_900_000_000), "{users:?}");
        } else {
            assert_eq!(users, [rustix::process::geteuid().as_raw(); 2]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_kernels_can_be_opened_for_writing_from_inside() {
    let world = World::new(Isolation::Bubblewrap).await;
    // Opened to append and nothing appended. Its own processes' files are the container's.
    let script = "n=0; for f in $(find /proc /sys -path '/proc/[0-9]*' -prune -o -type f -print); do \
                  n=$((n+1)); if true >> $f; then echo wrote $f; fi 2>/dev/null; done 2>/dev/null; echo tried $n";
    let seen = seen_inside(&world, script).await;
    let tried: u32 = seen.lines().find_map(|line| line.strip_prefix("tried ")).unwrap().parse().unwrap();
    assert!(tried > 500 && !seen.contains("wrote"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_makes_no_namespaces_no_keys_and_reaches_no_abstract_socket() {
    let world = World::new(Isolation::Bubblewrap).await;
    let name = format!("zlh-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listening = UnixListener::bind_addr(&address).unwrap();
    let add_key = if cfg!(target_arch = "aarch64") { 217 } else { 248 };
    let script = format!(
        "grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status; unshare --user true && echo NAMESPACE; \
         perl -e 'my ($kind, $name, $key) = qw(user k v); \
         print \"KEY\\n\" if syscall({add_key}, $kind, $name, $key, 1, -3) > 0; \
         use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; \
         print connect($s, pack_sockaddr_un(\"\\0{name}\")) ? \"SOCKET\\n\" : \"no socket: $!\\n\"'"
    );
    let seen = seen_inside(&world, &script).await;
    assert!(seen.contains("Seccomp:\t2") && seen.contains("NoNewPrivs:\t1"), "{seen}");
    assert!(seen.contains("CapEff:\t0000000000000000") && !seen.contains("NAMESPACE"), "{seen}");
    assert!(!seen.contains("KEY"), "{seen}");
    // Landlock has scopes since Linux 6.12.
    if kernel() >= (6, 12) {
        assert!(seen.contains("no socket: Operation not permitted"), "{seen}");
    }
}

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_finds_itself_alone_in_the_engines_folder() {
    // Even when the folder around it may be read.
    let world = World::showing(Isolation::Bubblewrap, |dir| vec![dir.into()]).await;
    fs::write(world.dir.path().join("shown"), "shown").unwrap();
    world.started().await;
    let seen =
        seen_inside(&world, &format!("cd {}; ls -A; cat ../shown; touch ../new", world.root().display()))
            .await;
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines.len() == 2 && lines[0].parse::<domain::ids::InstanceId>().is_ok(), "{seen}");
    assert!(lines[1].starts_with("shown") && seen.contains("Read-only file system"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engines_own_records_are_out_of_a_containers_reach() {
    let world = World::new(Isolation::Bubblewrap).await;
    let script = "cd ../..; ls -A; cat container.json; echo x > container.json; echo x > agent.pid";
    let seen = seen_inside(&world, script).await;
    assert_eq!(seen.lines().next(), Some("root"), "{seen}");
    assert_eq!(seen.matches("Read-only file system").count(), 2, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_isolation_nothing_of_our_environment_is_passed_on_either() {
    let world = World::new(Isolation::None).await;
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")));
    let id = world.started().await.instance_id;
    // The agent's own: its game may read it, whatever the agent passes on.
    let agent = agents(&world.engine.root_of(id))[0];
    let seen = fs::read_to_string(format!("/proc/{agent}/environ")).unwrap();
    assert!(seen.contains("HOME=") && !seen.contains("CARGO"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_before_the_agents_first_instruction() {
    let world = World::new(Isolation::Auto).await;
    let capabilities = world.engine.capabilities();
    if !(capabilities.memory && capabilities.pids && capabilities.cpu) {
        eprintln!("skipped: this machine lets us set no limits ({capabilities:?})");
        return;
    }
    let spec = world.started().await;
    let groups = cgroups(spec.instance_id);
    let read = |names: [&str; 2]| {
        let files = groups.iter().flat_map(|group| names.map(|name| group.join(name)));
        files
            .filter_map(|file| fs::read_to_string(file).ok())
            .map(|text| text.trim().to_owned())
            .next()
            .unwrap()
    };
    // 256 MiB and 100 processes of the customer's, 64 and 64 on top for the agent; one and a half cores.
    assert_eq!(read(["memory.limit_in_bytes", "memory.max"]), (320_u64 << 20).to_string());
    assert_eq!(read(["pids.max", "pids.max"]), "164");
    assert!(read(["cpu.cfs_quota_us", "cpu.max"]).starts_with("150000"));
    let agent = agents(&world.engine.root_of(spec.instance_id))[0];
    let member = fs::read_to_string(format!("/proc/{agent}/cgroup")).unwrap();
    assert_eq!(member.matches(&format!("zlh/{}", spec.instance_id)).count(), groups.len(), "{member}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_takes_too_much_memory_is_killed_and_its_agent_lives() {
    let world = World::new(Isolation::Auto).await;
    if !world.engine.capabilities().memory {
        eprintln!("skipped: this machine lets us set no memory limit");
        return;
    }
    let mut spec = world.spec();
    spec.resources.memory_mib = 64;
    world.engine.create(&spec).await.unwrap();
    world.engine.start(spec.instance_id).await.unwrap();
    let pid = world.pid(spec.instance_id).await;
    let session = world.session(&spec).await;
    // Reads a line that never ends into memory.
    session.put_service(&game("exec tail /dev/zero")).await.unwrap();
    state_of(&session, |status| status.state == AgentState::Stopped).await;
    session.power(PowerAction::Start).await.unwrap();
    let status = state_of(&session, |status| status.state == AgentState::Crashed).await;
    assert_eq!(status.error.unwrap().code, FaultCode::CrashedAtStart);
    assert_eq!(world.pid(spec.instance_id).await, pid);
    world.engine.stop(spec.instance_id, Duration::from_secs(10)).await.unwrap();
}
