package relay

import (
	"io"
	"net"
	"testing"
)

// BenchmarkPingPong is one small message each way.
func BenchmarkPingPong(b *testing.B) {
	eachBenchmark(b, func(b *testing.B, c *relayed) {
		msg := make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			pass(b, c.client, c.target, msg)
			pass(b, c.target, c.client, msg)
		}
	})
}

func pass(b *testing.B, from, to net.Conn, msg []byte) {
	if _, err := from.Write(msg); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(to, msg); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBulk is a stream in one direction.
func BenchmarkBulk(b *testing.B) {
	eachBenchmark(b, func(b *testing.B, c *relayed) {
		const piece = 1 << 20
		b.SetBytes(piece)
		b.ReportAllocs()
		go fill(c.client)
		sink := make([]byte, 256<<10)
		for b.Loop() {
			for left := piece; left > 0; {
				n, err := c.target.Read(sink[:min(left, len(sink))])
				if err != nil {
					b.Fatal(err)
				}
				left -= n
			}
		}
	})
}

func eachBenchmark(b *testing.B, f func(*testing.B, *relayed)) {
	for _, m := range [][2]string{{"tcp", "tcp"}, {"unix", "tcp"}, {"unix", "unix"}, {"tcp", "tls"}} {
		for _, e := range engines {
			b.Run(m[0]+"-"+m[1]+"/"+e.name, func(b *testing.B) {
				r := e.make(b)
				defer r.Close()
				c := join(b, r, m[0], m[1], nil)
				f(b, c)
				c.client.Close()
				c.target.Close()
				c.end(b)
			})
		}
	}
}
