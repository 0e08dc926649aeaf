"""What other extensions may cimport from tls: nothing yet."""
