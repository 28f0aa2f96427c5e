//! Names in the cluster's DNS, asked for over TCP, where an answer has room for thousands of pods.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::workload::WorkloadError;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The IPv4 addresses of a name, from the server at `server`. Empty if the name has none.
///
/// # Errors
/// [`WorkloadError::Name`] when the server does not answer, or refuses to.
pub async fn addresses_of(name: &str, server: SocketAddr) -> Result<Vec<IpAddr>, WorkloadError> {
    let failed = |why: String| WorkloadError::Name { name: name.to_owned(), why };
    let question = question(name).map_err(|why| failed(why.to_string()))?;
    let answer = timeout(PATIENCE, ask(server, &question)).await;
    let answer = answer.map_err(|_| failed(format!("the server {server} did not answer within 5 s")))?;
    let answer = answer.map_err(|why| failed(format!("the server {server} could not be asked ({why})")))?;
    let answer = Packet::parse(&answer).map_err(|why| failed(format!("the answer of {server} is broken ({why})")))?;
    match answer.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        other => return Err(failed(format!("the server {server} answered {other:?}"))),
    }
    let address = |data: &RData<'_>| match data {
        RData::A(found) => Some(IpAddr::V4(found.address.into())),
        _ => None,
    };
    Ok(answer.answers.iter().filter_map(|record| address(&record.rdata)).collect())
}

fn question(name: &str) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let mut packet = Packet::new_query(1);
    packet.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(Name::new(name)?, TYPE::A.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec()
}

/// Over TCP, a message follows its length (RFC 1035, section 4.2.2).
async fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::A;
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one question with these addresses.
    async fn server(rcode: RCODE, addresses: Vec<u32>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut asked).await.unwrap();
            let asked = Packet::parse(&asked).unwrap();
            let mut answer = Packet::new_reply(asked.id());
            *answer.rcode_mut() = rcode;
            for address in addresses {
                let name = asked.questions[0].qname.clone();
                answer.answers.push(ResourceRecord::new(name, CLASS::IN, 30, RData::A(A { address })));
            }
            let answer = answer.build_bytes_vec_compressed().unwrap();
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, &answer[..]].concat()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn a_name_has_as_many_addresses_as_pods() {
        let name = "web-headless.shop.svc.cluster.local";
        let pods: Vec<u32> = (0..300).map(|pod| 0x0af4_0002 + pod).collect();
        let found = addresses_of(name, server(RCODE::NoError, pods).await).await.unwrap();
        assert_eq!((found.len(), found[1].to_string()), (300, "10.244.0.3".to_owned()));
        assert!(addresses_of(name, server(RCODE::NameError, vec![]).await).await.unwrap().is_empty());
        let refused = addresses_of(name, server(RCODE::Refused, vec![]).await).await.unwrap_err();
        assert!(refused.to_string().contains("Refused"), "{refused}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_an_error() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = addresses_of("a.b", closed).await.unwrap_err();
        assert!(error.to_string().contains("could not be asked"), "{error}");
    }
}
