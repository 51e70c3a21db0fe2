package sockio

// Looks says whether this platform lets one see if something has come on a
// socket without taking it.
const Looks = false

// QuietFD is false: nobody can tell.
func QuietFD(uintptr) bool { return false }
