//! Question: how many rows a second does an export give, and does its memory stay constant?
//! Data: `ANNALS_BENCH_EVENTS` generated events, all of them, newest first; the client only counts lines.
//! Target: CSV >= 200,000 rows/s.

mod common;

use std::io::Read;
use std::time::Instant;

use common::Server;

fn main() {
    let server = Server::with_events(common::events_wanted());
    // A kept directory may hold some more.
    let n = server.total("/v1/events?limit=1");
    server.index_at_rest();
    // The first time much of the log may come from the disk.
    for (format, time) in [("csv", "first"), ("csv", "again"), ("ndjson", "again")] {
        let before = server.memory_mib("VmHWM");
        let cpu_before = server.cpu_seconds();
        let began = Instant::now();
        let mut answer =
            server.agent.get(format!("{}/v1/export?format={format}", server.url)).call().expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let (mut lines, mut bytes, mut buffer) = (0u64, 0u64, vec![0u8; 1 << 18]);
        loop {
            let read = body.read(&mut buffer).expect("the export goes on to its end");
            if read == 0 {
                break;
            }
            bytes += read as u64;
            lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        let took = began.elapsed().as_secs_f64();
        let header = u64::from(format == "csv");
        assert_eq!(lines, n + header, "no generated event has a line break in it");
        println!(
            "export {format} {time}: {:.0} rows/s, {:.0} MB/s, {:.1} CPU s ({n} events; peak memory {before:.0} MiB before, {:.0} after)",
            n as f64 / took,
            bytes as f64 / 1e6 / took,
            server.cpu_seconds() - cpu_before,
            server.memory_mib("VmHWM"),
        );
    }
}
