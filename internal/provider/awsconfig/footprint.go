package awsconfig

import "secretless/internal/provider"

// Footprint is what the AWS configuration can ask the SDK for: a
// credential_process, and tokens of single sign-on, which it renews and writes
// back to the cache of the AWS command line.
func (*Session[C]) Footprint() provider.Footprint {
	return provider.Footprint{Commands: "credential_process, or a single sign-on, of the AWS configuration", Perhaps: true}
}
