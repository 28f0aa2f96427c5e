//! The program itself, controlled over its stdin and stdout.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroU64};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use evenkeel_agent::clock::micros;
use evenkeel_agent::{Assignment, ClockOffset, Conduct, FromAgent, ToAgent, message, session};
use evenkeel_load::{LoadPlan, Part, RunResult, Target};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A server that counts its responses, which name a pod.
fn server() -> (SocketAddr, Arc<AtomicU64>) {
    let answered = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&answered);
    let count = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    (serve(count), answered)
}

/// A server, and the moments at which it was asked.
fn moments() -> (SocketAddr, Receiver<Instant>) {
    let (asked, received) = channel();
    let note = move || {
        let _ = asked.send(Instant::now());
    };
    (serve(note), received)
}

/// A server that calls `asked` at each request.
fn serve(asked: impl Fn() + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let asked = asked.clone();
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    asked();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Pod-Name: one\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

struct Agent {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Agent {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel-agent"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn send(&mut self, message: &ToAgent) {
        let line = serde_json::to_string(message).unwrap() + "\n";
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn receive(&mut self) -> FromAgent {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line:?}"))
    }

    /// An agent that has its part of `plan`.
    fn assigned(plan: &LoadPlan, address: SocketAddr, part: Part, deadline: Duration) -> Self {
        let mut agent = Self::start();
        let target = Target { address, host: address.to_string(), path: "/".into(), tls: None };
        agent.send(&ToAgent::Assignment(Box::new(Assignment { target, plan: plan.clone(), part, deadline })));
        assert_eq!(agent.receive(), FromAgent::Ready { version: message::VERSION });
        agent
    }

    /// An agent that has its part of `plan`, and was told to begin.
    fn begun(plan: &LoadPlan, address: SocketAddr, part: Part, deadline: Duration) -> Self {
        let mut agent = Self::assigned(plan, address, part, deadline);
        let now = agent.clock_us();
        agent.send(&ToAgent::Begin { at_us: now + 50_000 });
        agent
    }

    fn clock_us(&mut self) -> u64 {
        self.send(&ToAgent::Ping(7));
        let FromAgent::Pong { number: 7, clock_us, .. } = self.receive() else { panic!("no pong") };
        clock_us
    }

    fn result(&mut self) -> RunResult {
        loop {
            match self.receive() {
                FromAgent::Live(_) => {}
                FromAgent::Result { result, .. } => {
                    self.send(&ToAgent::Done);
                    return *result;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// How the agent kept to the plan.
    fn conduct(&mut self) -> Conduct {
        loop {
            if let FromAgent::Result { conduct, .. } = self.receive() {
                self.send(&ToAgent::Done);
                return conduct;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn plan(duration: u64) -> LoadPlan {
    LoadPlan::new(NonZeroU32::new(5).unwrap(), Duration::from_secs(duration))
}

#[test]
fn agents_send_each_request_of_a_plan_once() {
    let (address, answered) = server();
    let plan = LoadPlan { requests: NonZeroU64::new(1001), ..plan(60) };
    let parts = (0..3).map(|number| Part::new(number, 3).unwrap());
    let mut agents: Vec<_> = parts.map(|part| Agent::begun(&plan, address, part, Duration::from_secs(60))).collect();
    let results: Vec<_> = agents.iter_mut().map(Agent::result).collect();
    assert_eq!(results.iter().map(|result| result.answered).collect::<Vec<_>>(), [334, 334, 333]);
    let merged = RunResult::merge_parts(&plan, results).unwrap();
    assert_eq!((merged.answered, merged.latency.count(), answered.load(Ordering::SeqCst)), (1001, 1001, 1001));
    assert_eq!((merged.pods.len(), merged.pods[0].requests, merged.opened), (1, 1001, 5));
    assert_eq!(merged.seconds.iter().map(|second| second.requests).sum::<u64>(), 1001);
    assert!(agents.into_iter().all(|agent| agent.ended() == Some(0)));
}

#[test]
fn agents_begin_together_though_their_clocks_differ() {
    let apart = Duration::from_secs(3);
    let whole = |address| Agent::assigned(&plan(1), address, Part::WHOLE, Duration::from_secs(60));
    let origin = Instant::now();
    // The clock of an agent begins with the agent.
    let (first_server, first_asked) = moments();
    let mut first = whole(first_server);
    std::thread::sleep(apart);
    let (second_server, second_asked) = moments();
    let mut second = whole(second_server);
    let now = || micros(origin.elapsed());
    let clock_of = |agent: &mut Agent| {
        let (sent, other) = (now(), agent.clock_us());
        ClockOffset::of_exchange(sent, now(), other)
    };
    let clocks = [clock_of(&mut first), clock_of(&mut second)];
    let difference = clocks[0].offset_us.abs_diff(clocks[1].offset_us);
    assert!(difference + clocks[0].error_us + clocks[1].error_us >= micros(apart), "{clocks:?}");
    let begin = now() + 200_000;
    for (agent, clock) in [&mut first, &mut second].into_iter().zip(clocks) {
        agent.send(&ToAgent::Begin { at_us: clock.on_other(begin) });
    }
    let [one, other] = [first_asked, second_asked].map(|asked| asked.recv().unwrap());
    assert!(one.max(other) - one.min(other) < apart / 2, "they began together, not {apart:?} apart");
    assert!([&mut first, &mut second].map(Agent::result).iter().all(|result| result.answered > 0));
}

#[test]
fn an_agent_that_is_stopped_or_overdue_has_a_result() {
    let (address, _) = server();
    let mut stopped = Agent::begun(&plan(3600), address, Part::WHOLE, Duration::from_secs(3600));
    let mut overdue = Agent::begun(&plan(3600), address, Part::WHOLE, Duration::from_millis(300));
    assert!(matches!(stopped.receive(), FromAgent::Live(_)));
    stopped.send(&ToAgent::Stop);
    for agent in [&mut stopped, &mut overdue] {
        assert!(agent.result().interrupted);
    }
}

#[test]
fn an_agent_that_stood_still_says_so() {
    let (address, answered) = server();
    let mut agent = Agent::begun(&plan(4), address, Part::WHOLE, Duration::from_secs(60));
    while answered.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    agent.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(2));
    agent.signal(Signal::SIGCONT);
    let conduct = agent.conduct();
    assert!(conduct.longest_pause_us > 1_900_000 && !conduct.terminated, "{conduct:?}");
}

#[test]
fn an_agent_ends_when_nobody_controls_it() {
    let (address, _) = server();
    let idle = Agent { input: None, ..Agent::start() };
    let mut busy = Agent::begun(&plan(3600), address, Part::WHOLE, Duration::from_secs(3600));
    busy.input = None;
    let mut confused = Agent::start();
    confused.input.as_mut().unwrap().write_all(b"hello\n").unwrap();
    assert!(matches!(confused.receive(), FromAgent::Failed { .. }));
    for agent in [idle, busy] {
        assert_eq!(agent.ended(), Some(session::ABANDONED.into()));
    }
    assert!(matches!(confused.ended(), Some(code) if code > 0), "it got no message");
}
