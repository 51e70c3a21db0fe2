// Package aws replaces the Signature Version 4 that a client made with
// worthless keys by one made with the service's: same service, region, date and
// signed headers.
package aws
