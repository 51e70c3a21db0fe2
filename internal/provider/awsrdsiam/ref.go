package awsrdsiam

import (
	"errors"
	"strconv"
	"strings"

	"secretless/internal/provider/awsconfig"
)

// ref is an id of ours: user@host:port.
type ref struct {
	user, host, port string
}

func parse(text string) (ref, error) {
	at := strings.LastIndexByte(text, '@') // MySQL's user names may have one
	if at < 0 {
		return ref{}, errors.New("write user@host:port, with the host name of the database itself")
	}
	r := ref{user: text[:at]}
	host, port, ok := strings.Cut(text[at+1:], ":")
	if !ok {
		return ref{}, errors.New("host has no port: write user@host:port, such as :5432 or :3306")
	}
	r.host, r.port = strings.ToLower(host), port
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0 || strconv.FormatUint(n, 10) != port:
		return ref{}, errors.New("port must be a number from 1 to 65535")
	case r.user == "" || len(r.user) > 128 || strings.ContainsFunc(r.user, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return ref{}, errors.New("user before @ is empty, longer than 128 bytes, or has spaces or control characters")
	case !validHost(r.host):
		return ref{}, errors.New("host is no host name; write that of the database, such as orders.c9akciq32.eu-west-1.rds.amazonaws.com")
	}
	return r, nil
}

func checkRef(text string) error {
	_, err := parse(text)
	return err
}

func validHost(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	return !strings.ContainsFunc(host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	})
}

// region is the one in the host name that AWS gives to databases, proxies and
// clusters: <name>.<id>.<region>.rds.amazonaws.com, or .com.cn. It is empty
// for another name.
func (r ref) region() string {
	host := strings.TrimSuffix(r.host, ".cn")
	rest, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		return ""
	}
	// In China the two labels stand the other way round: rds.cn-north-1.
	labels := strings.Split(rest, ".")
	if len(labels) < 3 {
		return ""
	}
	last, before := labels[len(labels)-1], labels[len(labels)-2]
	switch {
	case last == "rds" && awsconfig.ValidRegion(before):
		return before
	case before == "rds" && awsconfig.ValidRegion(last):
		return last
	}
	return ""
}
