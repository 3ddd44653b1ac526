//! Question: how long does a start take, and how much memory does a server hold that nobody asks anything?
//! Data: `ANNALS_BENCH_EVENTS` generated events (in `ANNALS_BENCH_DIR` if that is set), stopped cleanly, its files in the
//! page cache; the median of five starts, from exec to `/readyz` 200.
//! Target (10 M events): <= 2 s; RssAnon at rest <= 300 MiB.

mod common;

use std::thread;
use std::time::Duration;

use common::Server;

const STARTS: usize = 5;
/// After so long without a question a server is at rest.
const QUIET: Duration = Duration::from_secs(10);

fn main() {
    let n = common::events_wanted();
    let mut server = Server::with_events(n);
    // What a load leaves to be merged is not part of a start.
    server.index_at_rest();
    let (mut times, mut memory_mib) = (Vec::new(), 0.0);
    for _ in 0..STARTS {
        server = server.restarted();
        memory_mib = server.memory_mib("RssAnon");
        times.push(server.ready_after);
    }
    server.index_at_rest();
    thread::sleep(QUIET);
    println!(
        "start: ready after {:.0} ms (median of {STARTS}, target 2,000), the slowest after {:.0} ms ({n} events)",
        common::percentile_ms(&mut times, 50),
        common::percentile_ms(&mut times, 100),
    );
    println!(
        "memory: RssAnon {memory_mib:.0} MiB when ready, {:.0} MiB at rest (target 300)",
        server.memory_mib("RssAnon"),
    );
}
