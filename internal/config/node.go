package config

type node struct {
	pos Pos
}
