// Package place judges the directory of something that the broker makes: its
// admin socket, its audit file. Who may write to the directory can put something
// of his own in its place.
package place
