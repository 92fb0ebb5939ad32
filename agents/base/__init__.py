"""What work needs: the contract, the error tree, the object store, the sources."""
