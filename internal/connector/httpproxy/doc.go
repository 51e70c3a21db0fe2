// Package httpproxy is the HTTP forward proxy: clients name it as http_proxy,
// and the URL of each request picks the service whose credential is added.
// What a credential looks like is the business of an authenticator, package
// auth and the folders beside it.
package httpproxy
