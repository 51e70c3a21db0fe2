package broker

// child runs a test's part that needs a process of its own.
func child(string) int { return 2 }
