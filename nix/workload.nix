# The workload as a kubenix module: what runs in the lab, and the few values that one wants to change.
{
  config,
  kubenix,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.evenkeel;

  name = "server";
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

  quantity = types.strMatching "[0-9]+(\\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?";
  # The standard is enforced, and both other ways to hear of a breach are on.
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
    replicas = mkOption {
      type = types.ints.between 0 480;
      default = 2;
      description = "How many pods the first `evenkeel deploy` asks for.";
    };
    image = mkOption {
      type = types.strMatching "[^[:space:]]+:[^[:space:]/]+";
      default = "evenkeel.local/server:unset";
      description = "What runs in the pods, with its tag; `evenkeel deploy` replaces it by the image that it imported.";
    };
    port = mkOption {
      type = types.port;
      default = 3000;
      description = "Where the server listens in its pod; the Service's port is 80.";
    };
    drainSeconds = mkOption {
      type = types.ints.between 0 300;
      default = 3;
      description = "How long a pod goes on serving after it was told to stop, until every node has taken it out.";
    };
    finishSeconds = mkOption {
      type = types.ints.between 0 300;
      default = 5;
      description = "After the drain, how long a request that has begun may take; half of it may go to draining on while requests still come.";
    };
    graceSeconds = mkOption {
      type = types.ints.positive;
      default = cfg.drainSeconds + cfg.finishSeconds + 2;
      defaultText = lib.literalExpression "drainSeconds + finishSeconds + 2";
      description = "When a pod that still runs is killed; longer than the server takes to stop, so that no answer is cut off.";
    };
    resources = {
      cpuRequest = mkOption {
        type = quantity;
        default = "1m";
        description = "What a pod asks of the processors: little, so that hundreds fit on a node. It has no limit, since throttling ruins the tail of the latency.";
      };
      memoryRequest = mkOption {
        type = quantity;
        default = "4Mi";
        description = "The memory that a pod asks for.";
      };
      memoryLimit = mkOption {
        type = quantity;
        default = "64Mi";
        description = "The memory at which a pod is killed.";
      };
    };
    maxSurge = mkOption {
      type = types.strMatching "[0-9]+%";
      default = "25%";
      description = "How many pods a rollout may start beyond the replicas. None is stopped before its successor is ready.";
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
        // podSecurity "restricted";

        # The workload's own identity, without a token: `default` comes into being a moment after its namespace, and a
        # Deployment that is quicker has its first pods refused.
        serviceAccounts.${name} = {
          inherit metadata;
          automountServiceAccountToken = false;
        };

        deployments.${name} = {
          inherit metadata;
          spec = {
            inherit (cfg) replicas;
            revisionHistoryLimit = 3;
            progressDeadlineSeconds = 60;
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
                # The server asks for no name, and the lab runs no DNS of its own.
                dnsPolicy = "Default";
                terminationGracePeriodSeconds =
                  if cfg.graceSeconds > cfg.drainSeconds + cfg.finishSeconds then
                    cfg.graceSeconds
                  else
                    throw "evenkeel.graceSeconds must be more than drainSeconds and finishSeconds together";
                securityContext = {
                  runAsNonRoot = true;
                  runAsUser = 65532;
                  runAsGroup = 65532;
                  seccompProfile.type = "RuntimeDefault";
                };
                topologySpreadConstraints = [
                  {
                    maxSkew = 1;
                    topologyKey = "kubernetes.io/hostname";
                    whenUnsatisfiable = "ScheduleAnyway";
                    labelSelector.matchLabels = selector;
                    # Each rollout spreads by itself; pods of the one before, about to go, do not count.
                    matchLabelKeys = [ "pod-template-hash" ];
                  }
                ];
                containers = [
                  {
                    inherit name;
                    inherit (cfg) image;
                    # The lab puts images on its nodes itself; a missing one is said at once instead of being sought for
                    # minutes in a registry that does not exist.
                    imagePullPolicy = "Never";
                    ports = [
                      {
                        name = "http";
                        containerPort = cfg.port;
                        protocol = "TCP";
                      }
                    ];
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
                    ];
                    # No startup probe, though the server answers one at /startupz: the kubelet asks it by the second and
                    # not when the container starts, so every pod would wait a second (2 to 10 pods: 2.6 s with it, 1.6 s
                    # without). The server listens within milliseconds, and liveness gives it 30 s.
                    readinessProbe = {
                      httpGet = {
                        path = "/readyz";
                        port = "http";
                      };
                      periodSeconds = 1;
                      timeoutSeconds = 1;
                      failureThreshold = 2;
                    };
                    livenessProbe = {
                      httpGet = {
                        path = "/healthz";
                        port = "http";
                      };
                      periodSeconds = 10;
                      timeoutSeconds = 2;
                      failureThreshold = 3;
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
                      readOnlyRootFilesystem = true;
                      capabilities.drop = [ "ALL" ];
                    };
                  }
                ];
              };
            };
          };
        };

        services.${name} = {
          inherit metadata;
          spec = {
            type = "LoadBalancer";
            # Nobody needs a port on every node where an external IP exists.
            allocateLoadBalancerNodePorts = false;
            # Pods see the client's own address, and no connection pays for its translation.
            externalTrafficPolicy = "Local";
            inherit selector;
            ports = [
              {
                name = "http";
                port = 80;
                protocol = "TCP";
                targetPort = "http";
                appProtocol = "http";
              }
            ];
          };
        };

        podDisruptionBudgets.${name} = {
          inherit metadata;
          spec = {
            maxUnavailable = "25%";
            # A pod that is not ready serves nobody; it must not hold up a drain.
            unhealthyPodEvictionPolicy = "AlwaysAllow";
            selector.matchLabels = selector;
          };
        };
      };
    };
  };
}
