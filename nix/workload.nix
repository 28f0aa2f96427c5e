# The workload as a kubenix module, with options for the values that labs change most.
{
  config,
  kubenix,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.evenkeel;

  inherit (cfg) name;
  namespace = "evenkeel";
  selector = {
    "app.kubernetes.io/name" = name;
    "app.kubernetes.io/part-of" = "evenkeel";
  };
  labels = selector // {
    "app.kubernetes.io/component" = "http";
    "app.kubernetes.io/managed-by" = "evenkeel";
  };
  metadata = { inherit namespace labels; };

  stopSeconds = cfg.preStopSeconds + cfg.drainSeconds + cfg.finishSeconds;
  probe =
    path: settings:
    settings
    // {
      httpGet = {
        inherit path;
        port = "http";
      };
    };

  quantity = types.strMatching "[0-9]+(\\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?";
  # Violations of the standard are refused, and also reported by an audit annotation and a warning.
  podSecurity =
    standard:
    lib.listToAttrs (
      lib.concatMap
        (mode: [
          (lib.nameValuePair "pod-security.kubernetes.io/${mode}" standard)
          (lib.nameValuePair "pod-security.kubernetes.io/${mode}-version" "v${config.kubernetes.version}")
        ])
        [
          "enforce"
          "audit"
          "warn"
        ]
    );
in
{
  imports = [ kubenix.modules.k8s ];

  options.evenkeel = {
    name = mkOption {
      type = types.strMatching "[a-z]([-a-z0-9]*[a-z0-9])?";
      default = "server";
      description = "The name of the Deployment, the Service and the container.";
    };
    external = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the Service has an external IP. Otherwise only pods reach it.";
    };
    replicas = mkOption {
      type = types.ints.between 0 480;
      default = 2;
      description = "The number of pods of the first `evenkeel deploy`.";
    };
    image = mkOption {
      type = types.strMatching "[^[:space:]]+:[^[:space:]/]+";
      default = "evenkeel.local/server:unset";
      description = "The image in the pods, with its tag. `evenkeel deploy` replaces it by the image that it imported.";
    };
    port = mkOption {
      type = types.port;
      default = 3000;
      description = "The port of the server in its pod. The Service's port is 80.";
    };
    ports = mkOption {
      type = types.attrsOf types.port;
      default = { };
      example = {
        metrics = 9090;
      };
      description = "Further ports of the server in its pod, by name. The Service has them under the same numbers.";
    };
    environment = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = "Further environment variables of the server.";
    };
    arguments = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "The arguments of the server, instead of those in its image.";
    };
    probes = {
      readiness = mkOption {
        type = types.strMatching "/.*";
        default = "/readyz";
        description = "The path that answers with a 2xx status when the server takes requests.";
      };
      liveness = mkOption {
        type = types.nullOr (types.strMatching "/.*");
        default = "/healthz";
        description = "The path that answers with a 2xx status while the server works; null for no liveness probe.";
      };
      startupSeconds = mkOption {
        type = types.ints.between 0 3600;
        default = 0;
        description = "How many seconds the server may take to start. The other probes, and the deadline of a rollout, count from then on.";
      };
    };
    user = mkOption {
      type = types.ints.between 1 2147483647;
      default = 65532;
      description = "The user and group that the server runs as.";
    };
    writableRootFilesystem = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the server may write to the file system of its container.";
    };
    podSecurity = mkOption {
      type = types.enum [
        "restricted"
        "baseline"
        "privileged"
      ];
      default = "restricted";
      description = "The Pod Security Standard of the namespace.";
    };
    preStopSeconds = mkOption {
      type = types.ints.between 0 300;
      default = 0;
      description = "How many seconds the kubelet waits before it sends SIGTERM, for a server that stops at once and does not drain.";
    };
    drainSeconds = mkOption {
      type = types.ints.between 0 300;
      default = 3;
      description = "How many seconds a pod keeps serving after SIGTERM, so that every node can remove it from its rules.";
    };
    finishSeconds = mkOption {
      type = types.ints.between 0 300;
      default = 5;
      description = "How many seconds a request that has begun may take after the drain. While requests still arrive, the drain may use up to half of this time.";
    };
    graceSeconds = mkOption {
      type = types.ints.positive;
      default = stopSeconds + 2;
      defaultText = lib.literalExpression "preStopSeconds + drainSeconds + finishSeconds + 2";
      description = "How many seconds after the end of a pod has begun it is killed if it still runs. It must be longer than the server takes to stop, so that no response is cut off.";
    };
    resources = {
      cpuRequest = mkOption {
        type = quantity;
        default = "1m";
        description = "The CPU request of a pod: small, so that hundreds of pods fit on a node. There is no CPU limit, since throttling distorts the high percentiles of the latency.";
      };
      memoryRequest = mkOption {
        type = quantity;
        default = "4Mi";
        description = "The memory request of a pod.";
      };
      memoryLimit = mkOption {
        type = quantity;
        default = "64Mi";
        description = "The memory limit of a pod.";
      };
    };
    maxSurge = mkOption {
      type = types.strMatching "[0-9]+%";
      default = "25%";
      description = "How many pods a rollout may start beyond the replicas. A pod is stopped only after a new one is ready.";
    };
  };

  config = {
    kubenix.project = "evenkeel";
    kubernetes = {
      version = "1.36";

      resources = {
        namespaces.${namespace}.metadata.labels = {
          "app.kubernetes.io/name" = "evenkeel";
          "app.kubernetes.io/part-of" = "evenkeel";
          "app.kubernetes.io/managed-by" = "evenkeel";
        }
        // podSecurity cfg.podSecurity;

        # The workload has its own service account, without a token. The account `default` is created a moment after its
        # namespace, and until then pods that use it are refused.
        serviceAccounts.${name} = {
          inherit metadata;
          automountServiceAccountToken = false;
        };

        deployments.${name} = {
          inherit metadata;
          spec = {
            inherit (cfg) replicas;
            revisionHistoryLimit = 3;
            # Long enough for an emulated machine. Evenkeel reports sooner why a pod cannot start.
            progressDeadlineSeconds = 300 + cfg.probes.startupSeconds;
            selector.matchLabels = selector;
            strategy = {
              type = "RollingUpdate";
              rollingUpdate = {
                inherit (cfg) maxSurge;
                maxUnavailable = 0;
              };
            };
            template = {
              metadata = { inherit labels; };
              spec = {
                serviceAccountName = name;
                automountServiceAccountToken = false;
                enableServiceLinks = false;
                # The server looks up no names.
                dnsPolicy = "Default";
                terminationGracePeriodSeconds =
                  if cfg.graceSeconds > stopSeconds then
                    cfg.graceSeconds
                  else
                    throw "evenkeel.graceSeconds must be more than preStopSeconds, drainSeconds and finishSeconds together";
                securityContext = {
                  runAsNonRoot = true;
                  runAsUser = cfg.user;
                  runAsGroup = cfg.user;
                  seccompProfile.type = "RuntimeDefault";
                };
                topologySpreadConstraints = [
                  {
                    maxSkew = 1;
                    topologyKey = "kubernetes.io/hostname";
                    whenUnsatisfiable = "ScheduleAnyway";
                    labelSelector.matchLabels = selector;
                    # Only pods of the same revision count, so the old pods of a rollout do not affect the new ones.
                    matchLabelKeys = [ "pod-template-hash" ];
                  }
                ];
                containers = [
                  (
                    {
                      inherit name;
                      inherit (cfg) image;
                      # The lab imports images into its nodes. A missing image fails at once, instead of after minutes of
                      # attempts to pull it from a registry that does not exist.
                      imagePullPolicy = "Never";
                      ports = [
                        {
                          name = "http";
                          containerPort = cfg.port;
                          protocol = "TCP";
                        }
                      ]
                      ++ lib.mapAttrsToList (name: containerPort: {
                        inherit name containerPort;
                        protocol = "TCP";
                      }) cfg.ports;
                      env = [
                        {
                          name = "PORT";
                          value = toString cfg.port;
                        }
                        {
                          name = "DRAIN_SECONDS";
                          value = toString cfg.drainSeconds;
                        }
                        {
                          name = "FINISH_SECONDS";
                          value = toString cfg.finishSeconds;
                        }
                        {
                          name = "POD_NAME";
                          valueFrom.fieldRef.fieldPath = "metadata.name";
                        }
                        {
                          name = "NODE_NAME";
                          valueFrom.fieldRef.fieldPath = "spec.nodeName";
                        }
                      ]
                      ++ lib.mapAttrsToList lib.nameValuePair cfg.environment;
                      # By default there is no startup probe, although the server has a route for it (/startupz). The kubelet runs a
                      # startup probe once a second and not when the container starts, so every pod would start a second
                      # later (scaling from 2 to 10 pods took 2.6 s with it, 1.6 s without). The server listens within
                      # milliseconds, and the liveness probe allows it 30 s.
                      readinessProbe = probe cfg.probes.readiness {
                        periodSeconds = 1;
                        timeoutSeconds = 1;
                        failureThreshold = 2;
                      };
                      resources = {
                        requests = {
                          cpu = cfg.resources.cpuRequest;
                          memory = cfg.resources.memoryRequest;
                        };
                        limits.memory = cfg.resources.memoryLimit;
                      };
                      securityContext = {
                        allowPrivilegeEscalation = false;
                        readOnlyRootFilesystem = !cfg.writableRootFilesystem;
                        capabilities.drop = [ "ALL" ];
                      };
                    }
                    // lib.optionalAttrs (cfg.probes.liveness != null) {
                      livenessProbe = probe cfg.probes.liveness {
                        periodSeconds = 10;
                        timeoutSeconds = 2;
                        failureThreshold = 3;
                      };
                    }
                    // lib.optionalAttrs (cfg.probes.startupSeconds > 0) {
                      startupProbe = probe cfg.probes.readiness {
                        periodSeconds = 1;
                        timeoutSeconds = 1;
                        failureThreshold = cfg.probes.startupSeconds;
                      };
                    }
                    // lib.optionalAttrs (cfg.arguments != [ ]) { args = cfg.arguments; }
                    // lib.optionalAttrs (cfg.preStopSeconds > 0) {
                      lifecycle.preStop.sleep.seconds = cfg.preStopSeconds;
                    }
                  )
                ];
              };
            };
          };
        };

        services.${name} = {
          inherit metadata;
          spec = {
            type = if cfg.external then "LoadBalancer" else "ClusterIP";
            inherit selector;
            ports = [
              {
                name = "http";
                port = 80;
                protocol = "TCP";
                targetPort = "http";
                appProtocol = "http";
              }
            ]
            ++ lib.mapAttrsToList (name: port: {
              inherit name port;
              protocol = "TCP";
              targetPort = name;
            }) cfg.ports;
          }
          // lib.optionalAttrs cfg.external {
            # With an external IP, no port on every node is needed.
            allocateLoadBalancerNodePorts = false;
            # Pods see the client's address, and connections are not masqueraded, which would cost time.
            externalTrafficPolicy = "Local";
          };
        };

        podDisruptionBudgets.${name} = {
          inherit metadata;
          spec = {
            maxUnavailable = "25%";
            # A pod that is not ready serves no requests, so it must not block the drain of a node.
            unhealthyPodEvictionPolicy = "AlwaysAllow";
            selector.matchLabels = selector;
          };
        };
      };
    };
  };
}
