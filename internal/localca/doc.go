// Package localca is the broker's own certificate authority: it vouches for
// the hosts whose TLS connections the broker takes over for local clients that
// chose to trust it. The authority is one file in the state directory.
//
// Its certificate names the hosts it may vouch for, so that a stolen key is
// worth no more than that. Certificates for hosts are made when a client asks
// for one, live for a day and exist in memory only.
package localca
