"""What other extensions may cimport from tls: nothing. They know SecureContext and SecureLayer of transport."""
