"""The transport that connects a child with its protocol, over the public methods of any loop."""
