//! Whether the machine was ours while something was measured. Where it is one of several on a host, the host may give its processors
//! to others meanwhile: what is measured then says nothing, and nothing else shows it.

use std::fs;

/// More than this share of the work, and figures are not worth much.
const STOLEN_MAX: f64 = 0.05;

/// What the processors had done at one moment, in ticks of all of them together (`proc_stat(5)`).
#[derive(Clone, Copy)]
pub struct Ticks {
    /// Work, ours and others'.
    busy: u64,
    /// What there was to do here while the host did something else.
    stolen: u64,
}

impl Ticks {
    /// Now.
    pub fn now() -> Ticks {
        let stat = fs::read_to_string("/proc/stat").expect("/proc");
        let all = stat.lines().next().expect("a line of all processors");
        let ticks: Vec<u64> = all.split_whitespace().skip(1).map(|field| field.parse().expect("ticks")).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let [user, nice, system, _, _, irq, softirq, stolen, ..] = ticks[..] else { panic!("too few fields: {all}") };
        Ticks { busy: user + nice + system + irq + softirq + stolen, stolen }
    }

    /// Says it if the host took much of the time since then.
    pub fn complain(self) {
        let now = Ticks::now();
        let share = (now.stolen - self.stolen) as f64 / (now.busy - self.busy).max(1) as f64;
        if share > STOLEN_MAX {
            println!("NOT QUIET: the host took {:.0} % of the processors' time for others (steal)", 100.0 * share);
        }
    }
}
