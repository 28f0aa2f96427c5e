# A check that runs `command` and has an empty output.
pkgs: name: tools: command:
pkgs.runCommand "evenkeel-${name}" { nativeBuildInputs = tools; } ''
  ${command}
  touch $out
''
