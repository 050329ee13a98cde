"""What every wing stands on: errors, events, the home folder, the machine, versions."""
