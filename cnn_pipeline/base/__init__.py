"""Used by every wing: errors, events, the home folder, the machine, versions."""
