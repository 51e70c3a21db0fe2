// Package docs keeps the documentation true: its tests follow every link, run
// the commands of every page, read those that cannot run against the command
// line's own definition, and compare pages with what they describe. It has
// tests only; docs/development.md has the conventions that pages follow.
package docs
