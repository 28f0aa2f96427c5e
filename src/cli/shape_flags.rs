//! The flags of `up` and `demo` for the nodes of a lab and their addresses.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::context::CommandContext;
use crate::cli::error::Error;
use crate::cluster::{self, Cluster};
use crate::config::{LabShape, NodeCount, RouterHash, Subnet};

/// The nodes of a lab, and how they are reached.
#[derive(Debug, Default, clap::Args)]
pub struct ShapeFlags {
    /// Number of nodes, 1 to 63; several nodes get a router [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    nodes: Option<NodeCount>,
    /// Deal the nodes out to this many zones (label topology.kubernetes.io/zone)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    zones: Option<NodeCount>,
    /// How the router keeps connections on their nodes: tracked, plain (each packet is hashed) or resilient (resilient
    /// next-hop groups) [default: tracked]
    #[arg(long, value_name = "HASH", value_parser = router_hash())]
    router_hash: Option<RouterHash>,
    /// Range for the lab's link and external IPs, when the default is in use on this machine [default: 198.18.0.0/15]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<Subnet>,
}

fn router_hash() -> impl TypedValueParser<Value = RouterHash> {
    PossibleValuesParser::new(["tracked", "plain", "resilient"]).try_map(|name| name.parse::<RouterHash>())
}

impl ShapeFlags {
    /// What the lab is to be made of.
    #[must_use]
    pub fn shape(&self) -> LabShape {
        LabShape {
            nodes: self.nodes.unwrap_or_default(),
            zones: self.zones,
            router_hash: self.router_hash.unwrap_or_default(),
            subnet: self.subnet.unwrap_or_default(),
        }
    }

    /// Refuses flags that differ from the lab that is up.
    ///
    /// # Errors
    /// [`Error::BadValue`].
    pub fn refuse_other(&self, context: &CommandContext, cluster: &Cluster) -> Result<(), Error> {
        let shape = cluster::shape(cluster)?;
        let nodes = cluster.nodes.len();
        let first = format!("run {} down first", context.evenkeel());
        let differs =
            |what, given: String, is: String| Err(Error::BadValue { what, given, why: format!("{is}; {first}") });
        match self.nodes {
            Some(asked) if usize::from(asked.get()) != nodes => {
                let is = format!("the lab is up with {nodes} node{}", if nodes == 1 { "" } else { "s" });
                return differs("--nodes", asked.to_string(), is);
            }
            _ => {}
        }
        if let Some(asked) = self.zones.filter(|asked| Some(*asked) != shape.zones) {
            let is = shape.zones.map_or_else(|| "no zones".to_owned(), |zones| format!("{zones} zones"));
            return differs("--zones", asked.to_string(), format!("the lab is up with {is}"));
        }
        if let Some(asked) = self.router_hash.filter(|asked| *asked != shape.router_hash) {
            return differs("--router-hash", asked.to_string(), format!("the lab is up with {}", shape.router_hash));
        }
        if let Some(asked) = self.subnet.filter(|asked| *asked != shape.subnet) {
            return differs("--subnet", asked.to_string(), format!("the lab is up with {}", shape.subnet));
        }
        Ok(())
    }
}
