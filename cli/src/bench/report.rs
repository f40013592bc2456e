//! The results of the benchmark, also as JSON.

use super::machine::Machine;
use super::plan::Transport;
use serde_json::{Value, json};
use shmkit_measure::{Flow, Times};

/// The times of round trips, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Trips {
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

impl From<Times> for Trips {
    fn from(times: Times) -> Trips {
        let part = |part| times.percentile(part).round() as u64;
        Trips {
            count: times.count(),
            p50: part(0.5),
            p99: part(0.99),
            p99_9: part(0.999),
            max: times.max().round() as u64,
        }
    }
}

/// The results of one transport with messages of one size.
#[derive(Debug)]
pub struct Row {
    pub transport: Transport,
    pub trips: Trips,
    pub flow: Flow,
}

/// The results of all transports with messages of one size, shared memory first.
#[derive(Debug)]
pub struct Block {
    pub size: u64,
    pub rows: Vec<Row>,
}

/// How a transport compares with shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Ratios {
    /// The time of a round trip, divided by the time in shared memory.
    pub trip: f64,
    /// The throughput of shared memory, divided by the throughput of this transport.
    pub flow: f64,
}

impl Block {
    pub fn ratios(&self, row: &Row) -> Ratios {
        let ours = &self.rows[0];
        Ratios {
            trip: row.trips.p50 as f64 / ours.trips.p50 as f64,
            flow: ours.flow.messages_per_s() / row.flow.messages_per_s(),
        }
    }

    pub fn gigabytes_per_s(&self, row: &Row) -> f64 {
        row.flow.messages_per_s() * self.size as f64 / 1e9
    }

    fn json(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().map(|row| {
            let (trips, ratios) = (row.trips, self.ratios(row));
            json!({
                "size_bytes": self.size,
                "transport": row.transport.name(),
                "round_trips": trips.count,
                "p50_ns": trips.p50,
                "p99_ns": trips.p99,
                "p99_9_ns": trips.p99_9,
                "max_ns": trips.max,
                "messages": row.flow.messages,
                "messages_per_s": row.flow.messages_per_s(),
                "gigabytes_per_s": self.gigabytes_per_s(row),
                "round_trip_times_slower": ratios.trip,
                "one_way_times_slower": ratios.flow,
            })
        })
    }
}

#[derive(Debug)]
pub struct Report {
    pub machine: Machine,
    /// The processors of the two processes; `None` if the system chose the processors.
    pub pinned: Option<[usize; 2]>,
    pub floor: Trips,
    pub blocks: Vec<Block>,
}

impl Report {
    /// Returns a line about the program and the machine, on which all numbers depend.
    pub fn machine_line(&self) -> String {
        let Machine {
            os,
            processor,
            processors,
        } = &self.machine;
        let plural = if *processors == 1 { "" } else { "s" };
        let built = match cfg!(debug_assertions) {
            true => " (a debug build, which is slower)",
            false => "",
        };
        let version = env!("CARGO_PKG_VERSION");
        format!("shmkit {version}{built}, {os}, {processor}, {processors} processor{plural}")
    }

    /// Returns a text about the processors on which the two processes ran.
    pub fn place_line(&self) -> String {
        match self.pinned {
            Some([here, there]) => format!("pinned to processors {here} and {there}"),
            None => "not pinned to processors".to_string(),
        }
    }

    pub fn json(&self) -> Value {
        let results: Vec<Value> = self.blocks.iter().flat_map(Block::json).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "optimized": !cfg!(debug_assertions),
            "os": self.machine.os,
            "processor": self.machine.processor,
            "processors": self.machine.processors,
            "pinned_to_processors": self.pinned,
            "floor": {
                "round_trips": self.floor.count,
                "p50_ns": self.floor.p50,
                "p99_ns": self.floor.p99,
                "p99_9_ns": self.floor.p99_9,
                "max_ns": self.floor.max,
            },
            "results": results,
        })
    }
}
