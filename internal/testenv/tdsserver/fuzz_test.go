package tdsserver

import (
	"context"
	"io"
	"strings"
	"testing"

	"secretless/internal/wire/tds"
)

// idle is a session that nobody listens to.
func idle() (*session, *response) {
	s := &session{server: &Server{}, version: tds74, database: "master", loginDatabase: "master", prepared: map[int64]prepared{}}
	return s, &response{session: s, packets: &packetWriter{dst: io.Discard, size: tds.LoginPacketSize}}
}

// attempt answers m in a context that is over, so that nothing takes long.
func attempt(m message) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, out := idle()
	return (&execution{ctx: ctx, scope: scope{session: s}, out: out}).run(m)
}

var noHeaders = []byte{4, 0, 0, 0}

func FuzzBatch(f *testing.F) {
	for _, batch := range []string{
		"select 1 as one, N'żółć', 0x0A, 1.5, 1e3, null, @@version, db_name()", "print 'a'; raiserror('%s', 16, 1, 'x')",
		"declare @a int = 1, @b nvarchar(max); set @b = cast(@a as nvarchar(max)) + N'x'; select @b",
		"select top (3) value, replicate('x', value) from generate_series(1, 10) where value > 2 and value <> 5",
		"if @@trancount > 0 begin commit tran end else begin tran", "use [master]; exec p 1, @x; waitfor delay '0:0:1'",
		"/* comment */ select 'it''s' -- comment", "throw 51000, 'x', 1", "select " + strings.Repeat("(", 300),
		"select cast('a' as char(3)), cast(0x01 as binary(4)), cast(-1.25 as decimal(5, 1)), convert(bigint, '7')",
	} {
		f.Add(batch)
	}
	f.Fuzz(func(t *testing.T, batch string) {
		if strings.Contains(strings.ToLower(batch), "replicate") && len(batch) > 100 {
			t.Skip("allocates as much as it is told to")
		}
		_ = attempt(message{kind: tds.TypeBatch, body: append(noHeaders[:4:4], encodeUTF16(batch)...)})
	})
}

func FuzzRPC(f *testing.F) {
	call := func(id byte, params ...value) []byte {
		b := append(noHeaders[:4:4], 0xFF, 0xFF, id, 0, 0, 0)
		for _, v := range params {
			b = v.appendTo(v.typ.appendTo(append(b, 0, 0)))
		}
		return b
	}
	f.Add(call(10, text("select @p1"), text("@p1 int"), intValue(1)))
	f.Add(call(13, intValue(0), text("@p1 int"), text("select @p1"), floatValue(1)))
	f.Add(append(call(11, intValue(0), text(""), text("select 1")), append([]byte{0xFF}, call(12, intValue(1))[4:]...)...))
	f.Add(call(10, value{typ: typeInfo{id: typeNVarChar, size: sizeMax}, data: encodeUTF16("select 1")}))
	f.Fuzz(func(_ *testing.T, body []byte) { _ = attempt(message{kind: tds.TypeRPC, body: body}) })
}

func FuzzLogin7(f *testing.F) {
	f.Add(make([]byte, 94))
	f.Fuzz(func(_ *testing.T, body []byte) { _, _, _ = parseLogin7(body) })
}

func TestNestingIsBounded(t *testing.T) {
	for _, batch := range []string{
		"select " + strings.Repeat("(", 100_000), "select " + strings.Repeat("-", 1) + strings.Repeat("+", 100_000),
		strings.Repeat("begin ", 100_000), strings.Repeat("if 1 = 1 ", 100_000),
	} {
		if _, err := parse(batch); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
			t.Errorf("%.20s: %v", batch, err)
		}
	}
}
