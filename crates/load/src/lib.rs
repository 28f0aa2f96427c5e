//! A load generator for HTTP/1.1 and HTTP/2: it sends requests to a server and measures what happens to each.
//!
//! A [`LoadPlan`] describes a run: a closed loop, in which each connection sends its next request when the last one is
//! answered, or an open loop, in which a [`Schedule`] defines when each request is due, independently of earlier requests.
//! [`run`] sends them from its own threads, which share only their progress, and merges their measurements into a
//! [`RunResult`]. `worker.rs` has the loop of such a thread. The crate knows nothing of Kubernetes.
//!
//! ```
//! use std::num::{NonZeroU32, NonZeroU64};
//! use std::time::Duration;
//!
//! use evenkeel_load::{LoadPlan, RequestTemplate, Target};
//! use tokio_util::sync::CancellationToken;
//!
//! # fn server() -> std::io::Result<std::net::SocketAddr> {
//! #     use std::io::{Read, Write};
//! #     let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! #     let address = listener.local_addr()?;
//! #     std::thread::spawn(move || {
//! #         for mut stream in listener.incoming().flatten() {
//! #             std::thread::spawn(move || {
//! #                 while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
//! #                     let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
//! #                 }
//! #             });
//! #         }
//! #     });
//! #     Ok(address)
//! # }
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     # let address = server()?;
//!     # /*
//!     let address: std::net::SocketAddr = "127.0.0.1:8080".parse()?;
//!     # */
//!     let target = Target { address, host: address.to_string(), path: "/".into(), tls: None };
//!     let plan = LoadPlan {
//!         requests: NonZeroU64::new(1000),
//!         request: RequestTemplate::default().path("/items?page=2".parse()?).header("Accept: application/json".parse()?),
//!         expected: "2xx,404".parse()?,
//!         ..LoadPlan::new(NonZeroU32::MIN.saturating_add(9), Duration::from_secs(10))
//!     };
//!     println!("GET {}", plan.request.url(&target));
//!
//!     // Cancel it, for example on Ctrl-C, to end the run early.
//!     let stop = CancellationToken::new();
//!     let result = evenkeel_load::run(&target, &plan, &stop, |live| println!("{:.0} requests/s", live.rate)).await?;
//!
//!     println!("{} requests answered in {:?}", result.answered, result.elapsed);
//!     println!("99% within {} µs", result.latency.quantile(0.99));
//!     for (at, count) in &result.faults {
//!         println!("{count} × {} after {} tenths of a second", at.fault, at.tenth);
//!     }
//!     # assert_eq!((result.answered, result.faults.len()), (1000, 0));
//!     Ok(())
//! }
//! ```

mod addresses;
mod backoff;
mod balance;
mod chunked;
mod client_connection;
mod connection;
mod descriptors;
mod error;
mod fault;
mod gauge;
mod grpc;
mod head;
mod http2;
mod live;
mod mix;
mod part;
mod plan;
mod platform;
mod pod_times;
mod pod_watch;
mod pool;
mod prepared;
mod protocol_error;
mod record;
mod request;
mod request_counts;
mod request_parts;
mod request_source;
mod requests_file;
mod response;
mod result;
mod run;
mod schedule;
mod shared;
mod socket;
mod statuses;
mod target;
mod template;
mod think_time;
mod time_bins;
mod times;
mod tls;
mod usage;
mod wire;
mod worker;
mod worker_pool;

pub use addresses::Addresses;
pub use balance::ClientBalance;
pub use descriptors::ensure_descriptors;
pub use error::LoadError;
pub use fault::{CertificateFault, Fault};
pub use grpc::{GrpcMethod, GrpcReply, GrpcStatus};
pub use head::POD_HEADER;
pub use live::RunProgress;
pub use mix::{RequestMix, RequestOrder};
pub use part::Part;
pub use plan::{LoadPlan, Protocol};
pub use pod_times::PodTimes;
pub use pod_watch::{PodWatches, RequestsOf, WatchId, WatchedPod};
pub use record::{FaultAt, Handshakes, Messages, Pod, Second};
pub use request::RequestTemplate;
pub use request_counts::RequestCounts;
pub use request_parts::{RequestHeader, RequestMethod, RequestPath};
pub use requests_file::{CallLine, RequestsFile, RequestsFileError, parse_requests_file};
pub use result::{PacedResult, RunResult};
pub use run::{run, run_balanced, run_part, run_watched};
pub use schedule::{RateStage, Schedule};
pub use statuses::StatusSet;
pub use target::Target;
pub use template::Template;
pub use think_time::ThinkTime;
pub use time_bins::TimeBins;
pub use times::Times;
pub use tls::{Tls, TlsOptions};
pub use usage::ThreadUsage;
