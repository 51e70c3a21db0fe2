package peer

import (
	"errors"
	"fmt"
	"math"
	"os/user"
	"path/filepath"
	"strconv"
)

func checkExecutables(paths []string) []error {
	var errs []error
	for i, path := range paths {
		if !filepath.IsAbs(path) {
			errs = append(errs, &EntryError{Field: "executables", Index: i, Value: path, Reason: "is not an absolute path"})
		}
	}
	return errs
}

// resolve turns names and numbers into a set of ids.
func resolve(field, kind string, entries []string, lookup func(string) (string, error)) (map[uint32]bool, []error) {
	ids := make(map[uint32]bool, len(entries))
	var errs []error
	for i, entry := range entries {
		id, reason := resolveOne(kind, entry, lookup)
		if reason != "" {
			errs = append(errs, &EntryError{Field: field, Index: i, Value: entry, Reason: reason})
			continue
		}
		ids[id] = true
	}
	return ids, errs
}

func resolveOne(kind, entry string, lookup func(string) (string, error)) (id uint32, reason string) {
	if number(entry) {
		return parseID(entry)
	}
	text, err := lookup(entry)
	if unknown(err) {
		return 0, "is not a " + kind + " of this machine"
	}
	if err != nil {
		return 0, fmt.Sprintf("could not be looked up: %v", err)
	}
	return parseID(text)
}

func number(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// parseID refuses the largest number as well: as a uid_t it means "none".
func parseID(s string) (id uint32, reason string) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return 0, "is not a numeric id below 4294967295"
	}
	return uint32(n), ""
}

func unknown(err error) bool {
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	return errors.As(err, &noUser) || errors.As(err, &noGroup)
}

func lookupUser(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func lookupGroup(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
