# The checks of a lab: of Evenkeel's own, and of those that mkLab makes.
lab:
let
  check = import ./check.nix lab.pkgs;
in
{
  inherit (lab) evenkeel;
  kubernetes-manners = import ./manners-check.nix { inherit lab check; };
  # The command line accepts the versions and the flags of all programs of this lab.
  doctor = check "doctor" [ lab.evenkeel ] ''
    evenkeel doctor --programs --json
  '';
}
// lab.images
