package tdsserver

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
)

// function is a built-in that takes between least and most arguments.
type function struct {
	least, most int
	run         func(*scope, []value) (value, error)
}

func sessionText(get func(*session) string) function {
	return function{0, 0, func(s *scope, _ []value) (value, error) { return text(get(s.session)), nil }}
}

// functions are the built-ins this server has, by their upper-case names.
var functions = map[string]function{
	"SUSER_NAME":     sessionText(func(s *session) string { return s.user }),
	"SUSER_SNAME":    sessionText(func(s *session) string { return s.user }),
	"ORIGINAL_LOGIN": sessionText(func(s *session) string { return s.user }),
	"SYSTEM_USER":    sessionText(func(s *session) string { return s.user }),
	"USER_NAME":      sessionText(func(*session) string { return "dbo" }),
	"CURRENT_USER":   sessionText(func(*session) string { return "dbo" }),
	"SESSION_USER":   sessionText(func(*session) string { return "dbo" }),
	"USER":           sessionText(func(*session) string { return "dbo" }),
	"DB_NAME":        sessionText(func(s *session) string { return s.database }),
	"APP_NAME":       sessionText(func(s *session) string { return s.login.AppName }),
	"HOST_NAME":      sessionText(func(s *session) string { return s.login.HostName }),
	"XACT_STATE": {0, 0, func(s *scope, _ []value) (value, error) {
		return sizedInt(int64(min(s.session.transactions, 1)), 2), nil
	}},
	"LEN":                {1, 1, length},
	"DATALENGTH":         {1, 1, dataLength},
	"UPPER":              {1, 1, letters(strings.ToUpper)},
	"LOWER":              {1, 1, letters(strings.ToLower)},
	"REPLICATE":          {2, 2, replicate},
	"ISNULL":             {2, 2, coalesce},
	"COALESCE":           {1, 100, coalesce},
	"NULLIF":             {2, 2, nullIf},
	"CONCAT":             {2, 100, concatAll},
	"HASHBYTES":          {2, 2, hashBytes},
	"SERVERPROPERTY":     {1, 1, serverProperty},
	"CONNECTIONPROPERTY": {1, 1, connectionProperty},
}

func length(_ *scope, args []value) (value, error) {
	v := args[0]
	if v.null {
		return nullValue(), nil
	}
	return intValue(int64(len(encodeUTF16(strings.TrimRight(v.text(), " "))) / 2)), nil
}

func dataLength(_ *scope, args []value) (value, error) {
	if args[0].null {
		return nullValue(), nil
	}
	return intValue(int64(len(args[0].data))), nil
}

func letters(change func(string) string) func(*scope, []value) (value, error) {
	return func(_ *scope, args []value) (value, error) {
		made := ansiText(change(args[0].text()))
		if args[0].isUnicode() {
			made = text(change(args[0].text()))
		}
		made.null, made.typ.size = args[0].null, args[0].typ.size
		return made, nil
	}
}

// maxReplicate bounds what one statement makes this process allocate.
const maxReplicate = 256 << 20

// replicate cuts at 8000 bytes unless its first argument is a (max) type, as
// the real one does.
func replicate(_ *scope, args []value) (value, error) {
	v := args[0]
	if !v.isChar() {
		v = ansiText(v.text())
	}
	n, err := args[1].number()
	if err != nil || n < 0 || v.null || args[1].null {
		return value{typ: v.typ, null: true}, err
	}
	limit := int64(maxReplicate)
	if v.typ.size != sizeMax {
		limit, v.typ.size = 8000, 8000
	}
	if len(v.data) > 0 {
		n = min(n, limit/int64(len(v.data)))
	}
	v.data = bytes.Repeat(v.data, int(n))
	return v, nil
}

func coalesce(_ *scope, args []value) (value, error) {
	for _, v := range args {
		if !v.null {
			return v, nil
		}
	}
	return args[len(args)-1], nil
}

func nullIf(_ *scope, args []value) (value, error) {
	a, b := args[0], args[1]
	if a.null || b.null {
		return a, nil
	}
	result, err := compareValues(a, b)
	if err == nil && result == 0 {
		a = value{typ: a.typ, null: true}
	}
	return a, err
}

func concatAll(_ *scope, args []value) (value, error) {
	made := ansiText("")
	for _, v := range args {
		if !v.isChar() {
			v = ansiText(v.text())
		}
		made = concat(made, v)
	}
	return made, nil
}

func hashBytes(_ *scope, args []value) (value, error) {
	if !strings.EqualFold(args[0].text(), "SHA2_256") || args[1].null {
		return value{typ: binaryValue(nil).typ, null: true}, nil
	}
	sum := sha256.Sum256(args[1].data)
	return binaryValue(sum[:]), nil
}

func serverProperty(s *scope, args []value) (value, error) {
	switch strings.ToLower(args[0].text()) {
	case "productversion":
		return text(productVersion), nil
	case "edition":
		return text("Test Edition"), nil
	case "engineedition":
		return intValue(2), nil
	case "servername":
		return text(s.session.server.name()), nil
	case "collation":
		return text(collationName), nil
	}
	return nullValue(), nil
}

func connectionProperty(s *scope, args []value) (value, error) {
	switch strings.ToLower(args[0].text()) {
	case "net_transport":
		return text("TCP"), nil
	case "protocol_type":
		return text("TSQL"), nil
	case "auth_scheme":
		return text("SQL"), nil
	}
	return nullValue(), nil
}

// global is the value of an @@name.
func (s *scope) global(name string) (value, error) {
	switch name {
	case "@@version":
		return text(versionText), nil
	case "@@servername":
		return text(s.session.server.name()), nil
	case "@@spid":
		return sizedInt(int64(s.session.spid), 2), nil
	case "@@trancount":
		return intValue(int64(s.session.transactions)), nil
	case "@@rowcount":
		return intValue(s.rowCount), nil
	case "@@error":
		return intValue(int64(s.lastError)), nil
	case "@@max_precision":
		return sizedInt(38, 1), nil
	case "@@language":
		return text(s.session.language), nil
	case "@@microsoftversion":
		return intValue(0x10000000), nil
	case "@@options":
		return intValue(5496), nil
	case "@@textsize":
		return intValue(2147483647), nil
	case "@@fetch_status", "@@identity":
		return nullValue(), nil
	}
	return value{}, sqlError{137, 15, 2, fmt.Sprintf(`Must declare the scalar variable "%s".`, name)}
}
