#!/bin/sh
echo "== RESULT START =="
echo '{"status": "success"}'
echo "== RESULT END =="
